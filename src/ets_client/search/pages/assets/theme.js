// Dark or light: as the system has it, until the button says otherwise.
{
  const key = "ets-theme";
  const read = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }; // none for some file: pages
  const root = document.documentElement;
  if (read()) root.dataset.theme = read();
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem(key, root.dataset.theme);
    } catch {
      /* it lasts for this page */
    }
    document.dispatchEvent(new Event("themechange"));
  });
}
