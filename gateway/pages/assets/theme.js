// Dark or light, before anything is drawn: as the reader chose here, or else as the system says, which CSS knows by itself.
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
      try { localStorage.setItem('theme', root.dataset.theme); } catch { /* it holds for this page */ }
      tell();
    });
    system.addEventListener('change', tell);
    tell();
  });
})();
