// Every page of the gateway with the data of the pages' tests: a network with a month behind it, a dead node, a quilt. Each is
// looked at wide and light, and at 390 pixels in the dark; axe must find nothing, nothing may be wider than its window, and
// nothing is written to the console. The pictures for the docs are of these.
//
//   node screens.mjs PAGES.TEST FOLDER
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { checks, complaints, launch, look, want, watch } from './browse.mjs';

const [program, folder] = process.argv.slice(2);
const kept = new Set([
  'network', 'node', 'node-dead', 'blob', 'quilt', 'transactions', 'blocks', 'owner', 'record', 'upload', 'pins', 'blob-pinned',
  'monitors', 'monitored', 'seen', 'risk', // wide
  'network-phone', 'node-phone', 'transactions-phone', 'upload-phone', 'pins-phone', 'monitors-phone', 'monitored-phone',
]);
const server = spawn(program, ['-test.run', '^TestServe$', '-test.timeout', '10m'], {
  stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, WALRUS_SERVE_PAGES: '1' },
});
let url = '';
const pages = [];
for await (const line of createInterface({ input: server.stdout })) {
  const [what, name, path] = line.split(' ');
  if (what === 'url') url = name;
  if (what === 'page') pages.push([name, path]);
  if (what === 'end') break;
}
const browser = await launch();
try {
  for (const [suffix, options] of [['', { viewport: { width: 1280, height: 900 } }], ['-phone', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }]]) {
    const context = await browser.newContext(options);
    const page = watch(await context.newPage(), url);
    for (const [name, path] of pages) {
      const answer = await page.goto(url + path, { waitUntil: 'load' });
      want(`${name} is there`, answer.status() === 200, answer.status());
      await look(page, name + suffix, kept.has(name + suffix) ? folder : '');
      const row = await page.evaluate(() => document.querySelector('.top').getBoundingClientRect().height);
      want(`the header of ${name}${suffix} is one row`, row < 70, row);
      if (!suffix) continue;
      const bare = await page.evaluate(() => [...document.querySelectorAll('table.cards tbody tr > *')].filter((c) => c.dataset.label && getComputedStyle(c, '::before').content === 'none').length);
      want(`cells of ${name} have the names of their columns`, bare === 0, bare);
    }
    await context.close();
  }
} finally {
  await browser.close();
  server.stdin.end();
}
if (complaints.length) {
  console.error(`screens.mjs: ${complaints.length} complaints:\n${complaints.join('\n')}`);
  process.exit(1);
}
console.log(`screens.mjs: ${checks} checks passed`);
