// What programs do with the npm package `replicate`, against a gateway; started by scripts/checks/check_clients.py.
// One line for each check: `ok NAME` or `FAILED NAME: why`.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [modules, url] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const Replicate = require("replicate");
const replicate = new Replicate({ auth: "any", baseUrl: `${url}/v1` });
const text = "local/run_text";

async function versionOf(model) {
  return (await replicate.models.get(...model.split("/"))).latest_version.id;
}

async function events(ref, input) {
  const found = [];
  for await (const { event, data } of replicate.stream(ref, { input })) found.push([event, data]);
  return found;
}

const checks = {
  async "run by name"() {
    assert.deepEqual(await replicate.run(text, { input: { prompt: "a" } }), ["a0 ", "a1 ", "a2 "]);
  },
  async "run by version"() {
    const ref = `${text}:${await versionOf(text)}`;
    assert.deepEqual(await replicate.run(ref, { input: { prompt: "a", count: 1 } }), ["a0 "]);
  },
  async "run by polling, with progress"() {
    const seen = new Set();
    const options = { input: { prompt: "a", count: 2, pause_s: 0.3 }, wait: { mode: "poll", interval: 50 } };
    const output = await replicate.run(text, options, (prediction) => seen.add(prediction.status));
    assert.deepEqual(output, ["a0 ", "a1 "]);
    assert.ok(seen.has("processing") && seen.has("succeeded"), [...seen].join());
  },
  async "run for longer than the wait"() {
    const options = { input: { prompt: "a", count: 2, pause_s: 0.9 }, wait: { mode: "block", timeout: 1 } };
    assert.deepEqual(await replicate.run(text, options), ["a0 ", "a1 "]);
  },
  async "run that fails"() {
    await assert.rejects(replicate.run(text, { input: { prompt: "a", mode: "raise" } }), /Prediction failed: .*boom/);
  },
  async "run with a wrong input"() {
    await assert.rejects(replicate.run(text, { input: { prompt: "a", count: -1 } }), /status 422 .*input.count: -1/);
  },
  async "run that is aborted"() {
    const stop = new AbortController();
    const options = { input: { prompt: "a", pause_s: 60 }, wait: { mode: "poll", interval: 50 }, signal: stop.signal };
    let id;
    await replicate.run(text, options, (prediction) => {
      id = prediction.id;
      if (prediction.status === "processing") stop.abort();
    });
    assert.equal((await replicate.wait({ id }, { interval: 50 })).status, "canceled");
  },
  async stream() {
    const found = await events(text, { prompt: "one\ntwo ", count: 2 });
    const output = found.filter(([event]) => event === "output").map(([, data]) => data);
    assert.deepEqual(output, ["one\ntwo 0 ", "one\ntwo 1 "]);
    assert.deepEqual(found.at(-1), ["done", "{}"]);
    assert.ok(found.some(([event, data]) => event === "logs" && data.includes("mode echo")));
  },
  async "stream that fails"() {
    await assert.rejects(events(text, { prompt: "a", mode: "raise" }), /boom/);
  },
  async "create, wait, get"() {
    const created = await replicate.predictions.create({ model: text, input: { prompt: "a", count: 1 } });
    assert.equal(created.status, "starting");
    assert.deepEqual((await replicate.wait(created, { interval: 50 })).output, ["a0 "]);
    assert.equal((await replicate.predictions.get(created.id)).status, "succeeded");
  },
  async "create and wait in one request"() {
    const input = { prompt: "a", count: 1 };
    const created = await replicate.predictions.create({ version: await versionOf(text), input, wait: 30 });
    assert.equal(created.status, "succeeded");
  },
  async cancel() {
    const created = await replicate.predictions.create({ model: text, input: { prompt: "a", pause_s: 60 } });
    await replicate.predictions.cancel(created.id);
    assert.equal((await replicate.wait(created, { interval: 50 })).status, "canceled");
  },
  async "list and pages"() {
    const { value } = await replicate.paginate(replicate.predictions.list).next();
    assert.ok(value.length > 3);
    assert.ok((await replicate.models.list()).results.some(({ name }) => name === "run_text"));
    const versions = await replicate.models.versions.list("local", "run_text");
    assert.equal((versions.results ?? versions)[0].id, await versionOf(text));
    assert.equal((await replicate.hardware.list())[0].sku, "local");
    assert.equal((await replicate.accounts.current()).username, "local");
    assert.ok(Array.isArray((await replicate.collections.list()).results));
  },
  async deployments() {
    assert.equal((await replicate.deployments.get("local", "run_text")).current_release.model, text);
    const input = { prompt: "a", count: 1 };
    const created = await replicate.deployments.predictions.create("local", "run_text", { input });
    assert.equal((await replicate.wait(created, { interval: 50 })).status, "succeeded");
  },
  async "files as inputs and outputs"() {
    // Not as data: URLs: release 1.4.0 loses the inputs when it is told to make those.
    const source = new File(["one\ntwo\n"], "poem.txt", { type: "text/plain" });
    const [copy] = await replicate.run("local/run_files", { input: { source } });
    assert.equal(await (await copy.blob()).text(), "one\ntwo\n");
  },
  async "files by themselves"() {
    const created = await replicate.files.create(Buffer.from("abc"), { a: 1 });
    assert.deepEqual([created.size, created.metadata], [3, { a: 1 }]);
    const { results } = await replicate.files.list();
    assert.ok(results.some(({ id }) => id === created.id));
    assert.equal((await replicate.files.get(created.id)).etag, created.etag);
    await replicate.files.delete(created.id);
    await assert.rejects(replicate.files.get(created.id), /status 404/);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message.replaceAll("\n", " ")}`);
  }
}
