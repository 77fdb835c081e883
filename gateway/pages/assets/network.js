// What moves on the network's page: the countdown, and the chart, drawn anew every few seconds.
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

  const box = document.getElementById('chart');
  const rate = (n) => {
    let unit = 0;
    while (n >= 1024 && unit < 5) { n /= 1024; unit++; }
    return `${n >= 100 || unit === 0 ? Math.round(n) : n.toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][unit]}/s`;
  };
  let plot = null;
  let data = null;
  const color = (name) => { // what the variable comes to in this theme: a canvas knows no variables
    const probe = box.appendChild(document.createElement('span'));
    probe.style.color = `var(${name})`;
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };
  const clock = (t) => new Date(t * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  const draw = () => {
    if (!data || data[0].length < 2) return;
    plot?.destroy();
    box.replaceChildren();
    const axis = { stroke: color('--quiet'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui' };
    plot = new uPlot({
      width: box.clientWidth, height: 260, legend: { live: true },
      scales: { y: { range: (_, __, max) => [0, Math.max(1024, max * 1.1)] } },
      axes: [{ ...axis, space: 90, values: (_, list) => list.map(clock) }, { ...axis, size: 80, values: (_, list) => list.map(rate) }],
      series: [
        { label: 'Time', value: (_, v) => (v == null ? '–' : clock(v)) },
        { label: 'Stored', stroke: color('--stored'), width: 2, points: { show: false }, value: (_, v) => (v == null ? '–' : rate(v)) },
        { label: 'Read', stroke: color('--read'), width: 2, dash: [6, 4], points: { show: false }, value: (_, v) => (v == null ? '–' : rate(v)) },
      ],
    }, data, box);
    plot.root.setAttribute('role', 'img');
    plot.root.setAttribute('aria-label', 'Bytes stored and read per second by this gateway; the table below has the numbers');
  };
  const load = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch('/explorer/api/network', { headers: { Accept: 'application/json' } });
      if (!answer.ok) return;
      const list = (await answer.json()).throughput;
      data = [list.map((s) => Date.parse(s.time) / 1000), list.map((s) => s.storedBytesPerSecond), list.map((s) => s.readBytesPerSecond)];
      if (plot) plot.setData(data); else draw();
    } catch { /* the gateway is away: what is drawn stays */ }
  };
  addEventListener('themechange', draw);
  addEventListener('resize', () => plot?.setSize({ width: box.clientWidth, height: 260 }));
  load();
  setInterval(load, 5000);
})();
