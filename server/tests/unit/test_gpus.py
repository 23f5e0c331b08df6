from __future__ import annotations

import dataclasses

import pytest

from ets_server.errors import ServerToolError
from ets_server.gpus import choose_gpus, parse_gpu_list, visible_gpus
from ets_server.machine import Gpu, GpuProcess, Machine, job_of

from .machines import gpu

FOUR = tuple(gpu(index) for index in range(4))


def indexes(gpus: tuple[Gpu, ...]) -> list[int | None]:
    return [gpu.index for gpu in gpus]


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("2,0", [2, 0]),
        ("GPU-3333,GPU-1111-abcd", [3, 1]),
        ("1,9,0", [1]),  # CUDA stops at what does not exist
        ("-1", []),
        ("1,1", [1]),
        (" 3 , 2 ", [3, 2]),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(setting: str | None, seen: list[int]) -> None:
    assert indexes(visible_gpus(FOUR, setting)) == seen


def test_a_mig_instance_is_named_by_its_uuid() -> None:
    instance = Gpu(None, "MIG-7", "NVIDIA H100 MIG 1g.10gb", 9856, 9800)
    assert visible_gpus((gpu(0), instance), "MIG-7") == (instance,)
    assert instance.device == "MIG-7"
    assert gpu(0).device == "0"


def test_numbers_count_among_the_visible_ones() -> None:
    visible = visible_gpus(FOUR, "3,1")
    choice = choose_gpus(visible, requested=(0,), tp=None, dp=1, held={}, share=False)
    assert indexes(choice.gpus) == [3]


def test_without_a_list_the_first_free_ones_are_taken() -> None:
    visible = (gpu(0, busy=True), gpu(1), gpu(2), gpu(3))
    choice = choose_gpus(visible, requested=None, tp=2, dp=1, held={gpu(1).uuid: "policy"}, share=False)
    assert indexes(choice.gpus) == [2, 3]
    assert (choice.tp, choice.dp) == (2, 1)


def test_tp_is_as_many_as_were_named() -> None:
    choice = choose_gpus(FOUR, requested=(0, 1, 2, 3), tp=None, dp=2, held={}, share=False)
    assert (choice.tp, choice.dp, choice.note) == (2, 2, "")


def test_more_than_needed_is_narrowed_and_said() -> None:
    choice = choose_gpus(FOUR, requested=(2, 3), tp=1, dp=1, held={}, share=False)
    assert indexes(choice.gpus) == [2]
    assert "only the first 1 of the 2" in choice.note


@pytest.mark.parametrize(
    ("requested", "tp", "dp", "said"),
    [
        ((7,), None, 1, "sees 4"),
        ((0, 1, 2), None, 2, "cannot be divided among --dp 2"),
        ((0, 1), 4, 1, "needs 4 GPUs and --gpus names 2"),
        (None, 8, 1, "needs 8 GPUs and this process sees 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    requested: tuple[int, ...] | None, tp: int | None, dp: int, said: str
) -> None:
    with pytest.raises(ServerToolError, match=said):
        choose_gpus(FOUR, requested=requested, tp=tp, dp=dp, held={}, share=False)


def test_a_gpu_of_another_server_is_refused_by_uuid_unless_shared() -> None:
    held = {gpu(1).uuid: "policy"}
    with pytest.raises(ServerToolError, match=r"GPU 1 \(GPU-1111-abcd\) is used by the server 'policy'.*--share-gpu"):
        choose_gpus(FOUR, requested=(1,), tp=None, dp=1, held=held, share=False)
    assert indexes(choose_gpus(FOUR, requested=(1,), tp=None, dp=1, held=held, share=True).gpus) == [1]


def test_a_gpu_of_another_user_is_refused_and_the_user_named() -> None:
    visible = (gpu(0, busy=True),)
    for requested in ((0,), None):
        with pytest.raises(ServerToolError, match="pid 4242 of mallory, 70000 MiB"):
            choose_gpus(visible, requested=requested, tp=None, dp=1, held={}, share=False)


def test_processes_that_cannot_be_seen_are_counted() -> None:
    busy = dataclasses.replace(gpu(0), processes=(GpuProcess(1), GpuProcess(2)))
    with pytest.raises(ServerToolError, match="pid 1 of another user and 1 more"):
        choose_gpus((busy,), requested=(0,), tp=None, dp=1, held={}, share=False)


def test_gpu_lists() -> None:
    assert parse_gpu_list("1, 0") == (1, 0)
    for wrong in ("", "a", "0,", "-1", "0.5"):
        with pytest.raises(ServerToolError, match="not a list of numbers"):
            parse_gpu_list(wrong)
    with pytest.raises(ServerToolError, match="twice"):
        parse_gpu_list("0,0")


def test_a_job_is_part_of_the_key_and_no_path() -> None:
    assert job_of({}) is None
    assert job_of({"SLURM_JOB_ID": "12"}) == "12"
    assert job_of({"PBS_JOBID": "7[3].pbs/x"}) == "7-3--pbs-x"
    assert Machine("node1", "12", 1).key == "node1.job-12"
    assert Machine("node1", None, 1).key == "node1"


def test_a_model_on_the_cpu_leaves_a_core_to_the_others_unless_it_is_told_how_many_threads_to_use() -> None:
    assert [Machine("node1", None, cores).threads for cores in (1, 2, 16)] == [1, 1, 15]
    assert Machine("node1", None, 16, wanted_threads=4).threads == 4
