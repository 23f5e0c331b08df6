"""The command line: `ets-client`."""
