"""Puts IDs of what is really stored into the examples of an API document: python examples.py URL < document > document."""

import json
import sys

import requests

url = sys.argv[1]
document = sys.stdin.read()


def answer(response):
    response.raise_for_status()
    return response


def blob_object(result):
    return result["newlyCreated"]["blobObject"]


blob = blob_object(answer(requests.put(f"{url}/v1/blobs", params={"permanent": "true"}, data=b"what the examples are about " * 100)).json())
quilt = answer(requests.put(f"{url}/v1/quilts", params={"permanent": "true"}, files={"walrus.jpg": b"a picture" * 100})).json()
upload = answer(requests.post(f"{url}/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "1000"})).headers["Location"]
real = {
    "M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk": blob["blobId"],
    "0xe91eee8c5b6f35b9a250cfc29e30f0d9e5463a21fd8d1ddb0fc22d44db4eac50": blob["id"],
    "6XUOE-Q5-nAXHRifN6n9nomVDtHZQbGuAkW3PjlBuKoBAQDQAA": quilt["storedQuiltBlobs"][0]["quiltPatchId"],
    "6XUOE-Q5-nAXHRifN6n9nomVDtHZQbGuAkW3PjlBuKo": blob_object(quilt["blobStoreResult"])["blobId"],
    "24e533e02ec3bc40c387f1a0e460e216": upload.rsplit("/", 1)[1],
}
for example, value in real.items():  # a patch ID begins with a quilt's, and so comes first
    if example not in document:
        sys.exit(f"examples.py: the document has no {example}")
    document = document.replace(example, value)
json.loads(document)
sys.stdout.write(document)
