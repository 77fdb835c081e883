// Updates the countdown on the network's page, which needs no request.
'use strict';
(() => {
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const span = (seconds) => {
    const i = units.findIndex(([length]) => seconds >= length);
    if (i < 0) return '0 s';
    const first = Math.floor(seconds / units[i][0]);
    const text = `${first} ${units[i][1]}`;
    if (i === units.length - 1) return text;
    const rest = Math.floor((seconds % units[i][0]) / units[i + 1][0]);
    return rest ? `${text} ${rest} ${units[i + 1][1]}` : text;
  };
  setInterval(() => {
    for (const e of document.querySelectorAll('time[data-countdown]')) {
      e.textContent = span(Math.max(0, (Date.parse(e.dateTime) - Date.now()) / 1000));
    }
  }, 1000);
})();
