// Extends and deletes a record with its owner's token, by the routes that programs use.
'use strict';
addEventListener('submit', async (e) => {
  const form = e.target.closest('form.manage');
  if (!form) return;
  e.preventDefault();
  const say = (text) => { form.querySelector('.manage-status').textContent = text; };
  const buttons = form.querySelectorAll('button');
  const remove = e.submitter?.value === 'delete';
  if (remove && !confirm('Delete this record? If no other record keeps the blob, its content is lost for good.')) return;
  for (const b of buttons) b.disabled = true;
  say(remove ? 'Deleting…' : 'Extending…');
  const path = `/v1/blobs/by-object-id/${encodeURIComponent(form.dataset.object)}`;
  try {
    const answer = await fetch(remove ? path : `${path}/extend?epochs=${encodeURIComponent(form.epochs.value)}`, {
      method: remove ? 'DELETE' : 'POST', headers: { 'Walrus-Owner-Token': form.token.value.trim() },
    });
    const body = await answer.json();
    if (!answer.ok) say(`${remove ? 'Not deleted' : 'Not extended'}: ${body.error.message}`);
    else if (remove) say('Deleted.');
    else say(`Stored until epoch ${body.blobObject.storage.endEpoch} begins. It cost ${body.cost / 1e9} WAL.`);
    if (answer.ok && remove) return; // the buttons stay disabled
  } catch {
    say('The gateway does not answer.');
  }
  for (const b of buttons) b.disabled = false;
});
