// What the checks with a browser share: the browser, what it complains about, and the rules of axe.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const complaints = [];
export let checks = 0;
export function want(what, condition, got) {
  checks++;
  if (!condition) complaints.push(`${what}: ${JSON.stringify(got)}`);
}

export const launch = () => chromium.launch({
  executablePath: execFileSync('sh', ['-c', 'command -v chromium']).toString().trim(),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// watch notes what a page complains about, and what it loads from elsewhere.
export function watch(page, url) {
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') complaints.push(`console of ${page.url()}: ${m.text()}`); });
  page.on('pageerror', (e) => complaints.push(`error on ${page.url()}: ${e}`));
  page.on('request', (q) => { if (!q.url().startsWith(url) && !q.url().startsWith('blob:') && !q.url().startsWith('data:')) complaints.push(`${page.url()} asks for ${q.url()}`); });
  return page;
}

// Pictures are of less than 150 KB, and of the first two screens of a long page.
const most = 150_000;

// look checks accessibility and that the page fits, and takes a picture if there is a folder for it.
export async function look(page, name, folder) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  want(`axe on ${name}`, violations.length === 0, violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`));
  const [wide, window_] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  want(`${name} fits its window`, wide <= window_, [wide, window_]);
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  const size = page.viewportSize();
  const height = Math.min(await page.evaluate(() => document.documentElement.scrollHeight), 2 * size.height);
  for (let quality = 75; quality >= 25; quality -= 10) {
    const picture = await page.screenshot({ type: 'jpeg', quality, fullPage: true, clip: { x: 0, y: 0, width: size.width, height } });
    if (picture.length > most && quality > 25) continue;
    writeFileSync(join(folder, `${name}.jpg`), picture);
    want(`picture of ${name} is small`, picture.length <= most, picture.length);
    return;
  }
}

// png is a picture of waves and some noise, so that it is not too small.
export function png(width, height) {
  const { deflateSync, crc32 } = createRequire(import.meta.url)('node:zlib');
  const raw = Buffer.alloc((width * 3 + 1) * height);
  const noise = randomBytes(raw.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const wave = [0, 1, 2].map((c) => 128 + 90 * Math.sin(x / (37 + 9 * c) + c) * Math.cos(y / (29 + 7 * c) - c));
      wave.forEach((v, c) => { const at = y * (width * 3 + 1) + 1 + 3 * x + c; raw[at] = v + (noise[at] & 31); });
    }
  }
  const chunk = (type, body) => {
    const b = Buffer.concat([Buffer.from(type), body]), out = Buffer.alloc(b.length + 8);
    out.writeUInt32BE(body.length, 0);
    b.copy(out, 4);
    out.writeUInt32BE(crc(b), out.length - 4);
    return out;
  };
  const crc = (b) => {
    if (crc32) return crc32(b) >>> 0;
    let c = ~0;
    for (const x of b) { c ^= x; for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0xedb88320 & -(c & 1)); }
    return ~c >>> 0;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  head[9] = 2;
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
}
