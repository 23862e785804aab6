"""The introduction of the API's description: what holds for every call, and decisions where the guide is silent."""

#: Stands in the examples for where the service is; the description that is served has the asked host instead.
HOST = "http://localhost:8000"

DESCRIPTION = """\
Self-hosted image upscaling with the Real-ESRGAN models.

## Quick start
A file `input.jpg` in, `output.jpg` out, by the model that comes with the service. With `curl`:

```sh
curl -f http://localhost:8000/api/v1/upscale -F image=@input.jpg -F model=bundled-compact-x4 -o output.jpg
```

In Python, with the package `httpx`:

```python
import httpx

with open("input.jpg", "rb") as picture:
    answer = httpx.post(
        "http://localhost:8000/api/v1/upscale",
        files={"image": picture},
        data={"model": "bundled-compact-x4"},
        timeout=None,
    )
answer.raise_for_status()
with open("output.jpg", "wb") as result:
    result.write(answer.content)
```

In JavaScript, with Node 18 or newer:

```js
import { readFile, writeFile } from "node:fs/promises";

const form = new FormData();
form.append("image", new Blob([await readFile("input.jpg")]), "input.jpg");
form.append("model", "bundled-compact-x4");
const answer = await fetch("http://localhost:8000/api/v1/upscale", { method: "POST", body: form });
if (!answer.ok) throw new Error((await answer.json()).detail);
await writeFile("output.jpg", Buffer.from(await answer.arrayBuffer()));
```

`POST /upscale` waits and answers the picture. `POST /jobs` answers at once; follow the job by its `status_url` or,
live, by its
`events_url`, and fetch its `result_url`. All take the same priority queue: who waits comes first, then jobs, then
batches.

## What holds everywhere
* Times are ISO 8601 in UTC. Ids are UUIDs in their usual form.
* Every answer carries `X-Request-ID`: yours, if you sent one, else a new one. The service's log lines carry it too.
* Unknown and repeated parameters are refused: a mistyped `tilesize` must not silently cost you an hour.
* API keys (`Authorization: Bearer …` or `X-API-Key: …`) are needed only where the operator says so. With keys
  required, a
  caller sees its own jobs only, and those of others are "not found".
* `Idempotency-Key` on a submission: the same key with the same picture and parameters answers the first call's
  job; with others 422;
  while the first call is still being submitted 409.
* `Prefer: respond-async` and `Prefer: wait=N` (RFC 7240) on `POST /upscale`.

## Errors
`{"detail": "for people", "code": "for_programs"}`; with 422, `errors` says what is wrong with which field.

| Status | Meaning |
|---|---|
| 400 | The request fits the schema but cannot be done with this picture; or it cannot be read at all |
| 401, 403 | A key is missing or wrong; or it may not do that |
| 404 | No such job, batch, result, model or address |
| 408 | The request arrives too slowly |
| 409 | The job is not in a state that allows it |
| 413, 414, 431 | Too many bytes in the body, the address, the header |
| 415 | A content type that is not read here |
| 422 | The request does not fit the schema |
| 429 | Too many calls (`throttled`), or beyond a limit of yours (`queued_jobs_limit`, …); see `Retry-After` |
| 500 | The job failed (its result is answered by its reason), or an error of ours |
| 503 | No weights here (`model_not_available`), the queue is full (`queue_full`), no worker runs (`no_worker`), … |
| 507 | The disk is full |

## Decisions
* Submissions that are answered before their result is there get **202** with `Location` and `Retry-After`.
* So is a `POST /upscale` that waits while the service is stopped or upgraded, at once; event streams end then, with a
  hint to come back.
* `GET /jobs/{id}/result`: 202 while the job is not done; 500 with the reason when it failed; 404 when it was
  cancelled, or its
  result was cleaned up.
* A picture that turns out to be broken is 400 for who waits in `POST /upscale`, and 500 for who later asks for its
  result.
* `POST /upscale` that waits is refused (`no_worker`) while no inference worker runs, after a few seconds of grace;
  what does not wait (`Prefer: respond-async`, `POST /jobs`, batches) is accepted and done when one comes.
* `completed_at` is when the job ended, however it ended.
* `total` of a list is exact. Pages follow each other by `cursor`; jobs that are created meanwhile neither repeat
  nor hide one.
* `POST /cleanup` looks at when jobs ended; live jobs are never touched. `hours` defaults to the operator's
  `RESULT_TTL_HOURS`, 24.
* Clean-up by the service itself happens in the background: download results within that time.
"""

#: The operations' groups, in the order in which a newcomer needs them.
TAGS = [
    {"name": "Upscaling", "description": "Pictures in, larger ones out."},
    {"name": "Jobs", "description": "What was submitted: its state, its progress, its pictures."},
    {"name": "Batches", "description": "Many pictures that were submitted together."},
    {"name": "Models", "description": "Networks: which there are, and how to bring more."},
    {"name": "Health & Monitoring", "description": "Is it well, and how much does it do."},
    {"name": "Your data", "description": "Everything of an API key: handed out, or erased."},
    {"name": "Maintenance", "description": "For whoever runs the service."},
]
