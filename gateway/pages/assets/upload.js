// Uploads a file, or a folder as a quilt, by PUT to the same routes that programs use, and shows progress. Without this
// script the browser submits the form.
'use strict';
addEventListener('DOMContentLoaded', () => {
  const get = (id) => document.getElementById(id);
  const form = get('upload-form'), drop = get('dropzone'), input = get('file'), epochs = get('epochs'), permanent = get('permanent'), folder = get('folder');
  let dropped = []; // several dropped files: a quilt
  const say = (text) => { get('upload-status').textContent = text; };
  const size = (n) => {
    let unit = 0;
    while (n >= 1024 && unit < 5) { n /= 1024; unit++; }
    return unit === 0 ? `${n} bytes` : `${n.toFixed(n < 10 ? 2 : 1)} ${['', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][unit]}`;
  };

  // chosen returns one file, or the files of a quilt. A file's name in the quilt is its path below the folder.
  const chosen = () => {
    const files = folder.files.length ? [...folder.files] : dropped;
    if (!files.length) return input.files[0] && { name: input.files[0].name, size: input.files[0].size, file: input.files[0] };
    const named = files.map((file) => ({ file, name: file.webkitRelativePath.split('/').slice(1).join('/') || file.name }));
    return { name: `a quilt of ${files.length} ${files.length === 1 ? 'file' : 'files'}`, size: files.reduce((n, f) => n + f.size, 0), files: named };
  };
  const settle = () => { input.required = !folder.files.length && !dropped.length; price(); };

  let asked = 0;
  const price = async () => {
    const turn = ++asked;
    const what = chosen();
    get('price').textContent = '';
    if (!what || !epochs.checkValidity()) return;
    try {
      const answer = await fetch(`/explorer/api/price?size=${what.size}&epochs=${encodeURIComponent(epochs.value)}`);
      const body = await answer.json();
      if (turn !== asked) return; // another file was chosen meanwhile
      get('price').textContent = answer.ok
        ? `${what.name}, ${size(what.size)}: about ${body.text}${what.files ? ' or slightly more' : ''}, stored until ${body.endText}.`
        : `Price unknown: ${body.error.message}`;
    } catch {
      if (turn === asked) get('price').textContent = 'Price unknown: the gateway does not answer.';
    }
  };
  input.addEventListener('change', () => { folder.value = ''; dropped = []; settle(); });
  folder.addEventListener('change', () => { input.value = ''; dropped = []; settle(); });
  epochs.addEventListener('input', price);
  price(); // a browser may restore an earlier choice

  let over = 0;
  const outline = (n) => { over = n; drop.classList.toggle('over', over > 0); };
  drop.addEventListener('dragenter', (e) => { e.preventDefault(); outline(over + 1); });
  drop.addEventListener('dragleave', () => outline(Math.max(0, over - 1)));
  drop.addEventListener('dragover', (e) => e.preventDefault());
  drop.addEventListener('drop', (e) => {
    e.preventDefault();
    outline(0);
    const list = [...e.dataTransfer.files];
    const items = [...(e.dataTransfer.items ?? [])];
    if (items.some((i) => i.webkitGetAsEntry?.()?.isDirectory)) {
      say('To upload a folder, choose it with the button: only files can be dropped here.');
      return;
    }
    folder.value = '';
    dropped = list.length > 1 ? list : [];
    if (list.length === 1) input.files = e.dataTransfer.files; else input.value = '';
    say(`Selected ${chosen().name}.`);
    settle();
  });
  for (const kind of ['dragover', 'drop']) { // a drop outside the zone would leave the page
    addEventListener(kind, (e) => e.preventDefault());
  }

  let request = null;
  const busy = (is) => {
    get('upload-button').disabled = is;
    get('cancel').hidden = !is;
    get('progress-box').hidden = !is;
    form.setAttribute('aria-busy', String(is));
  };
  const done = (answer, token) => {
    const r = answer.blobStoreResult ?? answer;
    const stored = r.newlyCreated;
    const id = stored ? stored.blobObject.blobId : r.alreadyCertified.blobId;
    get('result-link').href = `/explorer/blobs/${encodeURIComponent(id)}`;
    get('result-id').textContent = id;
    get('result-copy').dataset.copy = id;
    get('result-content').hidden = !form.dataset.content || Boolean(answer.storedQuiltBlobs);
    get('result-content').href = `/v1/blobs/${encodeURIComponent(id)}`;
    const list = get('result-files');
    list.replaceChildren(...(answer.storedQuiltBlobs ?? []).map((f) => {
      const link = document.createElement('a');
      link.href = `/v1/blobs/by-quilt-patch-id/${encodeURIComponent(f.quiltPatchId)}`;
      link.textContent = f.identifier;
      const item = document.createElement('li');
      item.className = 'breaks';
      item.append(link);
      return item;
    }));
    list.hidden = !answer.storedQuiltBlobs;
    get('result-owner').hidden = !token;
    if (token) {
      const form = get('result-owner').querySelector('form');
      form.dataset.object = stored.blobObject.id;
      form.token.value = token;
      form.querySelector('.manage-status').textContent = '';
      for (const b of form.querySelectorAll('button')) b.disabled = false;
      get('token-copy').dataset.copy = token;
      get('result-record').href = `/explorer/records/${encodeURIComponent(stored.blobObject.id)}`;
    }
    get('result-cost').textContent = stored
      ? `It cost ${(stored.cost / 1e9).toLocaleString(undefined, { maximumFractionDigits: 9 })} WAL.`
      : 'It was already stored, so it cost nothing.';
    get('result').hidden = false;
    get('result-title').focus();
    say('Stored.');
  };
  const failed = (r) => {
    let why = `HTTP status ${r.status}`;
    try { why = JSON.parse(r.responseText).error.message; } catch { /* not an answer of the gateway */ }
    say(`Not stored: ${why}`);
  };
  const send = (what) => {
    const query = new URLSearchParams({ epochs: epochs.value });
    query.set(permanent.checked ? 'permanent' : 'deletable', 'true');
    if (what.file?.type) query.set('content_type', what.file.type);
    request = new XMLHttpRequest();
    const bar = get('progress');
    let told = -1;
    bar.value = 0;
    request.upload.addEventListener('progress', (e) => {
      if (!e.lengthComputable || e.total === 0) return;
      const percent = Math.floor(100 * e.loaded / e.total);
      bar.value = percent;
      if (percent >= 100 || percent >= told + 10) { // announce every tenth percent only
        told = percent;
        say(`${percent} % of ${size(what.size)} sent.`);
      }
    });
    request.upload.addEventListener('load', () => {
      bar.removeAttribute('value');
      say('All sent. The gateway now encodes it, sends each node its slivers and waits for a quorum.');
    });
    request.addEventListener('load', () => {
      const r = request;
      busy(false);
      if (r.status === 200) done(JSON.parse(r.responseText), r.getResponseHeader('Walrus-Owner-Token')); else failed(r);
    });
    request.addEventListener('error', () => { busy(false); say('Not stored: the connection to the gateway broke.'); });
    request.addEventListener('abort', () => { busy(false); say('Cancelled. If everything had been sent, it may still be stored.'); });
    if (what.files) {
      const body = new FormData();
      for (const f of what.files) body.append(f.name, f.file);
      request.open('PUT', `/v1/quilts?${query}`);
      request.send(body);
      return;
    }
    request.open('PUT', `/v1/blobs?${query}`);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.send(what.file);
  };
  form.addEventListener('submit', (e) => {
    e.preventDefault();
    const what = chosen();
    if (!what) {
      say('Choose a file or a folder first.');
      return;
    }
    const most = Number(what.files ? form.dataset.maxQuilt : form.dataset.max);
    if (what.size > most) {
      say(`${what.name} has ${size(what.size)}: this gateway accepts at most ${size(most)}.`);
      return;
    }
    get('result').hidden = true;
    busy(true);
    say('Sending…');
    send(what);
  });
  get('cancel').addEventListener('click', () => request?.abort());
});
