// Two replicas of PouchDB on disk (LevelDB) in one process: documents that both have are changed apart, then a sync of both
// ways is timed. Prints one line of JSON.
//   node sync.js NODE_MODULES DIRECTORY CHANGED SHARED BYTES
"use strict";

const [modules, directory, changedText, sharedText, bytesText] = process.argv.slice(2);
const PouchDB = require(require.resolve("pouchdb", {paths: [modules]}));
const [changed, shared, bytes] = [changedText, sharedText, bytesText].map(Number);

// As scripts/bench-peers makes rows.
function document(number, by) {
  const head = `{"bar":${number % 1000},"by":"${by}","note":"`;
  return JSON.parse(`${head}${"x".repeat(Math.max(0, bytes - head.length - 2))}"}`);
}

function key(number) {
  return `sensor-${String(number).padStart(7, "0")}`;
}

// Numbers from..to of one replica, 1000 at a time.
async function change(db, from, to, by) {
  for (let first = from; first < to; first += 1000) {
    const keys = [];
    for (let number = first; number < Math.min(to, first + 1000); ++number) keys.push(key(number));
    const known = await db.allDocs({keys});
    const documents = keys.map((_id, i) => ({_id, _rev: known.rows[i].value?.rev, ...document(first + i, by)}));
    const refused = (await db.bulkDocs(documents)).filter(each => each.error);
    if (refused.length > 0) throw new Error(JSON.stringify(refused[0]));
  }
}

async function main() {
  const [one, other] = ["one", "other"].map(name => new PouchDB(`${directory}/${name}`));
  const all = 2 * changed - shared;
  await change(one, 0, all, "nobody");
  await PouchDB.sync(one, other);

  await change(one, 0, changed, "one");
  await change(other, changed - shared, all, "other");
  const begin = process.hrtime.bigint();
  await PouchDB.sync(one, other);
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;

  const [a, b] = await Promise.all([one, other].map(db => db.allDocs({include_docs: true})));
  if (a.rows.length !== all || JSON.stringify(a.rows) !== JSON.stringify(b.rows)) throw new Error("the replicas differ");
  console.log(JSON.stringify({seconds, cpu: process.cpuUsage()}));
}

main();
