// Before anything is painted: light or dark as was chosen here last, else as the system has it.
"use strict";
try {
  const theme = localStorage.getItem("k485-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is refused: the system's choice holds.
}
