// Sets dark or light colors before anything is drawn: the reader's choice, or else the system's, which CSS follows by itself.
'use strict';
(() => {
  const root = document.documentElement;
  root.classList.add('scripted');
  const system = matchMedia('(prefers-color-scheme: dark)');
  const kept = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
  const dark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  if (['dark', 'light'].includes(kept())) root.dataset.theme = kept();
  addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const tell = () => {
      button.setAttribute('aria-pressed', String(dark()));
      dispatchEvent(new Event('themechange'));
    };
    button.addEventListener('click', () => {
      root.dataset.theme = dark() ? 'light' : 'dark';
      try { localStorage.setItem('theme', root.dataset.theme); } catch { /* then it holds for this page only */ }
      tell();
    });
    system.addEventListener('change', tell);
    tell();
  });
})();
