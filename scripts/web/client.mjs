// A client of the original's HTTP API with fetch, FormData and a public tus library: it knows nothing of this implementation.
import { randomBytes } from 'node:crypto';
import tus from 'tus-js-client';

const url = process.argv[2];
let checks = 0;
function want(what, condition, got) {
  checks++;
  if (!condition) {
    console.error(`client.mjs: ${what}:`, got);
    process.exit(1);
  }
}
const bytes = async (response) => Buffer.from(await response.arrayBuffer());

const data = randomBytes(123_457);
let r = await fetch(`${url}/v1/blobs?epochs=2`, { method: 'PUT', body: data });
want('store', r.status === 200, r.status);
const { blobObject } = (await r.json()).newlyCreated;
r = await fetch(`${url}/v1/blobs/${blobObject.blobId}`);
want('read', data.equals(await bytes(r)), r.status);
r = await fetch(`${url}/v1/blobs/${blobObject.blobId}`, { headers: { Range: 'bytes=1000-1999' } });
want('range', r.status === 206 && data.subarray(1000, 2000).equals(await bytes(r)), r.status);
r = await fetch(`${url}/v1/blobs`, { method: 'PUT', body: new Blob([data, data]).stream(), duplex: 'half' });
want('a stream of unknown length', r.status === 200, await r.text());

const form = new FormData();
for (let i = 0; i < 15; i++) form.append(`file-${i}`, new Blob([`content ${i}`]), `file-${i}`);
r = await fetch(`${url}/v1/quilts`, { method: 'PUT', body: form });
want('quilt', r.status === 200, r.status);
const quilt = await r.json();
const quiltId = quilt.blobStoreResult.newlyCreated.blobObject.blobId;
want('patches', quilt.storedQuiltBlobs.length === 15 && quilt.storedQuiltBlobs.every((p) => p.quiltPatchId.length === 50), quilt);
r = await fetch(`${url}/v1/blobs/by-quilt-id/${quiltId}/file-7`);
want('file of a quilt', (await r.text()) === 'content 7', r.status);

r = await fetch(`${url}/v1/blobs`, { method: 'OPTIONS', headers: { Origin: 'https://example.com', 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'content-type' } });
want('preflight', r.ok && r.headers.get('access-control-allow-origin') === '*', [r.status, ...r.headers]);

// an upload in pieces, interrupted and resumed
const large = randomBytes(3_000_000);
const resumed = await new Promise((resolve, reject) => {
  let interrupted = false, last;
  const upload = new tus.Upload(large, {
    endpoint: `${url}/v1/uploads`, chunkSize: 1 << 20, retryDelays: [0, 200, 500],
    metadata: { epochs: '2' }, headers: { Prefer: 'return=representation' },
    onAfterResponse: (_, res) => { last = res; },
    onChunkComplete: () => {
      if (interrupted) return;
      interrupted = true;
      upload.abort().then(() => upload.start());
    },
    onSuccess: () => resolve(last),
    onError: reject,
  });
  upload.start();
});
const result = JSON.parse(resumed.getBody());
want('resumed upload', result.newlyCreated?.blobObject?.size === large.length, result);
r = await fetch(`${url}/v1/blobs/${result.newlyCreated.blobObject.blobId}`);
want('read of it', large.equals(await bytes(r)), r.status);

// the same, as parts that come side by side, and by a client that can only POST
for (const options of [{ parallelUploads: 4 }, { overridePatchMethod: true }]) {
  const sent = randomBytes(2_000_000);
  const end = await new Promise((resolve, reject) => {
    let last;
    new tus.Upload(sent, {
      endpoint: `${url}/v1/uploads`, metadata: { epochs: '2' }, ...options,
      onAfterResponse: (_, res) => { if (res.getHeader('Walrus-Blob-Id')) last = res; },
      onSuccess: () => resolve(last), onError: reject,
    }).start();
  });
  r = await fetch(`${url}/v1/blobs/${end.getHeader('Walrus-Blob-Id')}`);
  want(`upload with ${JSON.stringify(options)}`, sent.equals(await bytes(r)), r.status);
}
console.log(`client.mjs: ${checks} checks passed`);
