"""A client of the original's HTTP API, as one would write it with requests: it knows nothing of this implementation."""

import base64
import os
import sys
import threading

import requests

url = sys.argv[1]
session = requests.Session()
checks = 0


def want(what, condition, got=None):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"client.py: {what}: {got!r}")


def put(data, **params):
    return session.put(f"{url}/v1/blobs", params=params, data=data, headers={"Content-Type": "application/octet-stream"})


def chunks(data, size=65536):
    for at in range(0, len(data), size):
        yield data[at : at + size]


want("status", session.get(f"{url}/status").text == "OK")

# store, then the same again, and as a stream of unknown length
data = os.urandom(300_001)
r = put(data, epochs=3)
want("store", r.status_code == 200, r.text)
created = r.json()["newlyCreated"]
obj, blob_id = created["blobObject"], created["blobObject"]["blobId"]
want("fields of blobObject", list(obj) == ["id", "registeredEpoch", "blobId", "size", "encodingType", "certifiedEpoch", "storage", "deletable"], list(obj))
want("fields of storage", list(obj["storage"]) == ["id", "startEpoch", "endEpoch", "storageSize"], obj["storage"])
want("size", obj["size"] == len(data) and obj["encodingType"] == "RS2" and obj["deletable"] is True, obj)
want("epochs", obj["storage"]["endEpoch"] - obj["storage"]["startEpoch"] == 3, obj)
want("blob ID", len(blob_id) == 43 and len(base64.urlsafe_b64decode(blob_id + "=")) == 32, blob_id)
want("operation", created["resourceOperation"] == {"registerFromScratch": {"encodedLength": obj["storage"]["storageSize"], "epochsAhead": 3}}, created)
want("cost", created["cost"] > 0, created)
again = put(data, epochs=3).json()
want("already certified", again["alreadyCertified"]["blobId"] == blob_id and again["alreadyCertified"]["endEpoch"] == obj["storage"]["endEpoch"], again)
r = put(chunks(data), epochs=3)
want("chunked body", r.status_code == 200 and "alreadyCertified" in r.json(), r.text)
permanent = put(os.urandom(1000), permanent="true").json()["newlyCreated"]["blobObject"]
want("permanent", permanent["deletable"] is False, permanent)
empty = put(b"").json()
want("the empty blob", "newlyCreated" in empty or "alreadyCertified" in empty, empty)

# read: whole, head, ranges, conditions
r = session.get(f"{url}/v1/blobs/{blob_id}")
want("read", r.status_code == 200 and r.content == data)
want("headers of a read", r.headers["Cache-Control"] == "public, max-age=86400, stale-while-revalidate=3600" and r.headers["X-Content-Type-Options"] == "nosniff", dict(r.headers))
want("entity tag", r.headers["ETag"].strip('"') == blob_id, r.headers["ETag"])
want("any origin", r.headers.get("Access-Control-Allow-Origin") == "*" or session.get(f"{url}/v1/blobs/{blob_id}", headers={"Origin": "https://example.com"}).headers.get("Access-Control-Allow-Origin") == "*")
h = session.head(f"{url}/v1/blobs/{blob_id}")
want("head", h.status_code == 200 and int(h.headers["Content-Length"]) == len(data) and not h.content)
for header, part, content_range in [
    ("bytes=0-99", data[:100], f"bytes 0-99/{len(data)}"),
    ("bytes=299990-", data[299990:], f"bytes 299990-{len(data)-1}/{len(data)}"),
    ("bytes=-10", data[-10:], f"bytes {len(data)-10}-{len(data)-1}/{len(data)}"),
    ("bytes=300000-999999999", data[300000:], f"bytes 300000-{len(data)-1}/{len(data)}"),
]:
    r = session.get(f"{url}/v1/blobs/{blob_id}", headers={"Range": header})
    want(header, r.status_code == 206 and r.content == part and r.headers["Content-Range"] == content_range, (r.status_code, dict(r.headers)))
r = session.get(f"{url}/v1/blobs/{blob_id}", headers={"Range": "bytes=0-9,100-109"})
want("two ranges", r.status_code == 206 and r.headers["Content-Type"].startswith("multipart/byteranges") and data[100:110] in r.content, dict(r.headers))
r = session.get(f"{url}/v1/blobs/{blob_id}", headers={"Range": f"bytes={len(data)}-"})
want("range beyond the end", r.status_code == 416 and r.headers["Content-Range"] == f"bytes */{len(data)}", dict(r.headers))
r = session.get(f"{url}/v1/blobs/{blob_id}", headers={"If-None-Match": f'"{blob_id}"'})
want("not modified", r.status_code == 304 and not r.content, r.status_code)
r = session.get(f"{url}/v1/blobs/{blob_id}/byte-range", params={"start": 5, "length": 10})
want("byte-range", r.status_code == 200 and r.content == data[5:15], r.status_code)
r = session.get(f"{url}/v1alpha/blobs/{blob_id}/stream")
want("stream", r.content == data and r.headers["x-walrus-streaming"] == "true", dict(r.headers))
r = session.get(f"{url}/v1/blobs/by-object-id/{obj['id']}")
want("by object ID", r.status_code == 200 and r.content == data, r.status_code)
r = session.get(f"{url}/v1alpha/blobs/concat", params={"ids": f"{blob_id},{obj['id']}"})
want("concat", r.content == data + data, (r.status_code, len(r.content)))
r = session.post(f"{url}/v1alpha/blobs/concat", json={"ids": [blob_id, blob_id]})
want("concat by POST", r.content == data + data, (r.status_code, len(r.content)))

# errors
unknown = "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"
r = session.get(f"{url}/v1/blobs/{unknown}")
want("unknown blob", r.status_code == 404 and r.json()["error"]["details"][0]["reason"] == "BLOB_NOT_FOUND" and r.json()["error"]["status"] == "NOT_FOUND", r.text)
for path, code in [("/v1/blobs/xyz", 400), (f"/v1/blobs/{blob_id}/byte-range?start=0&length=999999999", 400), (f"/v1/blobs/{blob_id}?strict_consistency_check=true&skip_consistency_check=true", 400), ("/v1/nothing", 404)]:
    r = session.get(url + path)
    want(path, r.status_code == code, (r.status_code, r.text))
want("unknown parameter", put(b"x", nonsense=1).status_code == 400)
want("both persistences", put(b"x", permanent="true", deletable="true").status_code == 400)
want("too large", put(b"0" * (11 << 20)).status_code == 413)

# quilts
files = {"a.txt": b"first file", "b.bin": os.urandom(5000), "dir/c": b""}
r = session.put(f"{url}/v1/quilts", params={"epochs": 2}, files={k: (k, v) for k, v in files.items()} | {"_metadata": (None, '[{"identifier":"a.txt","tags":{"creator":"w"}}]')})
want("store a quilt", r.status_code == 200, r.text)
quilt = r.json()
quilt_id = quilt["blobStoreResult"]["newlyCreated"]["blobObject"]["blobId"]
want("files of the quilt", sorted(p["identifier"] for p in quilt["storedQuiltBlobs"]) == sorted(files), quilt)
for p in quilt["storedQuiltBlobs"]:
    r = session.get(f"{url}/v1/blobs/by-quilt-patch-id/{p['quiltPatchId']}")
    want("by patch ID", r.content == files[p["identifier"]] and r.headers["X-Quilt-Patch-Identifier"] == p["identifier"], (r.status_code, dict(r.headers)))
    name = requests.utils.quote(p["identifier"], safe="")
    r = session.get(f"{url}/v1/blobs/by-quilt-id/{quilt_id}/{name}")
    want("by name", r.status_code == 200 and r.content == files[p["identifier"]], r.status_code)
patches = session.get(f"{url}/v1/quilts/{quilt_id}/patches").json()
want("list of patches", {p["identifier"]: p["tags"] for p in patches} == {"a.txt": {"creator": "w"}, "b.bin": {}, "dir/c": {}} and all(len(p["patch_id"]) == 50 for p in patches), patches)

# many at once, with what a client does at 429
failed = []


def upload(i):
    body = os.urandom(50_000)
    while True:
        r = requests.put(f"{url}/v1/blobs", data=body)
        if r.status_code == 429:
            threading.Event().wait(0.2)
            continue
        if r.status_code != 200 or requests.get(f"{url}/v1/blobs/{r.json()['newlyCreated']['blobObject']['blobId']}").content != body:
            failed.append((i, r.status_code, r.text))
        return


threads = [threading.Thread(target=upload, args=(i,)) for i in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
want("20 at once", not failed, failed)
print(f"client.py: {checks} checks passed")
