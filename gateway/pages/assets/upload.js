// Uploads by PUT, with progress, to the same route that programs use. Without this the form is sent as it is.
'use strict';
addEventListener('DOMContentLoaded', () => {
  const get = (id) => document.getElementById(id);
  const form = get('upload-form'), drop = get('dropzone'), input = get('file'), epochs = get('epochs'), permanent = get('permanent');
  const say = (text) => { get('upload-status').textContent = text; };
  const size = (n) => {
    let unit = 0;
    while (n >= 1024 && unit < 5) { n /= 1024; unit++; }
    return unit === 0 ? `${n} bytes` : `${n.toFixed(n < 10 ? 2 : 1)} ${['', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][unit]}`;
  };

  let asked = 0;
  const price = async () => {
    const turn = ++asked;
    const file = input.files[0];
    get('price').textContent = '';
    if (!file || !epochs.checkValidity()) return;
    try {
      const answer = await fetch(`/explorer/api/price?size=${file.size}&epochs=${encodeURIComponent(epochs.value)}`);
      const body = await answer.json();
      if (turn !== asked) return; // another file was chosen meanwhile
      get('price').textContent = answer.ok
        ? `${file.name}, ${size(file.size)}: about ${body.text}, stored until ${new Date(body.endTime).toLocaleString()}.`
        : `The price is not known: ${body.error.message}`;
    } catch {
      if (turn === asked) get('price').textContent = 'The price is not known: the gateway does not answer.';
    }
  };
  input.addEventListener('change', price);
  epochs.addEventListener('input', price);
  price(); // a browser may keep what was chosen before

  let over = 0;
  const outline = (n) => { over = n; drop.classList.toggle('over', over > 0); };
  drop.addEventListener('dragenter', (e) => { e.preventDefault(); outline(over + 1); });
  drop.addEventListener('dragleave', () => outline(Math.max(0, over - 1)));
  drop.addEventListener('dragover', (e) => e.preventDefault());
  drop.addEventListener('drop', (e) => {
    e.preventDefault();
    outline(0);
    if (e.dataTransfer.files.length !== 1) {
      say('Drop one file at a time.');
      return;
    }
    input.files = e.dataTransfer.files;
    say(`${input.files[0].name} is chosen.`);
    price();
  });
  for (const kind of ['dragover', 'drop']) { // beside the zone a drop would leave the page
    addEventListener(kind, (e) => e.preventDefault());
  }

  let request = null;
  const busy = (is) => {
    get('upload-button').disabled = is;
    get('cancel').hidden = !is;
    get('progress-box').hidden = !is;
    form.setAttribute('aria-busy', String(is));
  };
  const done = (r) => {
    const stored = r.newlyCreated;
    const id = stored ? stored.blobObject.blobId : r.alreadyCertified.blobId;
    get('result-link').href = `/explorer/blobs/${encodeURIComponent(id)}`;
    get('result-id').textContent = id;
    get('result-cost').textContent = stored
      ? `It cost ${(stored.cost / 1e9).toLocaleString(undefined, { maximumFractionDigits: 9 })} WAL.`
      : 'It was stored already and cost nothing.';
    get('result').hidden = false;
    get('result-title').focus();
    say('Stored.');
  };
  const failed = (r) => {
    let why = `HTTP status ${r.status}`;
    try { why = JSON.parse(r.responseText).error.message; } catch { /* not of our own */ }
    say(`Not stored: ${why}`);
  };
  const send = (file) => {
    const query = new URLSearchParams({ epochs: epochs.value });
    query.set(permanent.checked ? 'permanent' : 'deletable', 'true');
    if (file.type) query.set('content_type', file.type);
    request = new XMLHttpRequest();
    const bar = get('progress');
    let told = -1;
    bar.value = 0;
    request.upload.addEventListener('progress', (e) => {
      if (!e.lengthComputable || e.total === 0) return;
      const percent = Math.floor(100 * e.loaded / e.total);
      bar.value = percent;
      if (percent >= 100 || percent >= told + 10) { // not every step is worth a word
        told = percent;
        say(`${percent} % of ${size(file.size)} sent.`);
      }
    });
    request.upload.addEventListener('load', () => {
      bar.removeAttribute('value');
      say('All is sent. The gateway encodes it, gives each node its slivers and waits for a quorum.');
    });
    request.addEventListener('load', () => {
      const r = request;
      busy(false);
      if (r.status === 200) done(JSON.parse(r.responseText)); else failed(r);
    });
    request.addEventListener('error', () => { busy(false); say('Not stored: the connection to the gateway broke.'); });
    request.addEventListener('abort', () => { busy(false); say('Cancelled. If all was sent already, it may still be stored.'); });
    request.open('PUT', `/v1/blobs?${query}`);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.send(file);
  };
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    const file = input.files[0];
    if (file.size > Number(form.dataset.max)) {
      say(`${file.name} has ${size(file.size)}; this gateway takes ${size(Number(form.dataset.max))} at most.`);
      return;
    }
    get('result').hidden = true;
    busy(true);
    say('Sending…');
    send(file);
  });
  get('cancel').addEventListener('click', () => request?.abort());
});
