// Loads and saves records with brainstem-js, the vendor's JavaScript client, and prints what it did as JSON.
//
// node brainstem.cjs MODULES BASE_URL TOKEN RESOURCES
//
// MODULES is the folder with the installed packages; RESOURCES is a JSON file: a list of {key, path, wrapper, associations}, where
// `path` is null for records that only includes show, and `associations` has the envelope key of each ([key] for many).

const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");

const [modules, baseUrl, token, resourcesFile] = process.argv.slice(2);
const load = createRequire(`${modules}/`);
const { JSDOM } = load("jsdom");
const { window } = new JSDOM("", { url: baseUrl }); // jQuery needs a document; the same origin, so no CORS
Object.assign(globalThis, { window, document: window.document });

const $ = load("jquery");
const Backbone = load("backbone");
const { Model, Collection, StorageManager } = load("brainstem-js");
Backbone.sync = load("brainstem-js/lib/sync");
$.ajaxSetup({ headers: { Authorization: `Bearer ${token}` } });

const resources = JSON.parse(readFileSync(resourcesFile, "utf8"));
const storage = StorageManager.get();
const collections = {};
for (const { key, path, wrapper, associations } of resources) {
  const url = baseUrl + (path ?? `/${key}`);
  const OneModel = Model.extend({ paramRoot: wrapper, brainstemKey: key, urlRoot: url }, { associations });
  collections[key] = Collection.extend({ model: OneModel, url });
  storage.addCollection(key, collections[key]);
}

const errors = [];
const done = { loaded: {}, included: {}, nested: {}, saved: {}, renamed: {} };

const finished = (deferred) =>
  new Promise((resolve, reject) =>
    deferred.then(resolve, (answer) => reject(new Error(`${answer?.status}: ${answer?.responseText ?? answer}`))),
  );

async function attempt(what, act) {
  try {
    return await act();
  } catch (error) {
    errors.push(`${what}: ${error.message}`);
  }
}

const names = (key) => Object.keys(resources.find((resource) => resource.key === key)?.associations ?? {});
const listed = (key) => resources.find((resource) => resource.key === key)?.path != null;

/** How many associated models the cache has for an association of some models. */
const found = (models, name) =>
  models.reduce((sum, model) => {
    const value = model.get(name); // throws if an id has no model
    return sum + (value instanceof Backbone.Collection ? value.length : value ? 1 : 0);
  }, 0);

async function loadAndInclude({ key, associations }) {
  const collection = new collections[key]();
  await finished(collection.fetch({ perPage: 10, include: names(key), cache: false }));
  done.loaded[key] = collection.length;
  for (const name of names(key)) done.included[`${key}.${name}`] = found(collection.models, name);

  const nested = Object.entries(associations)
    .map(([name, target]) => [name, Array.isArray(target) ? target[0] : target])
    .filter(([, target]) => listed(target) && names(target).length);
  const layers = nested.map(([name, target]) => ({ [name]: names(target) }));
  const again = new collections[key]();
  if (layers.length) await finished(again.fetch({ perPage: 3, include: layers, cache: false }));
  for (const [name, target] of nested)
    for (const model of again.models) {
      const value = model.get(name);
      const models = value instanceof Backbone.Collection ? value.models : value ? [value] : [];
      for (const inner of names(target)) {
        const place = `${key}.${name}.${inner}`;
        done.nested[place] = (done.nested[place] ?? 0) + found(models, inner);
      }
    }
}

async function turnPages() {
  const stories = new collections.stories();
  await finished(stories.fetch({ perPage: 30, order: "due_date:desc", filters: { show_archived: true }, cache: false }));
  const first = stories.pluck("id");
  await finished(stories.getNextPage());
  done.pages = { first, second: stories.pluck("id"), more: stories.hasNextPage() };
}

async function saveWhole({ key, wrapper, title }) {
  const collection = new collections[key]();
  await finished(collection.fetch({ perPage: 1, cache: false }));
  const [model] = collection.models;
  await finished(model.save());
  done.saved[key] = model.id;
  if (title) {
    await finished(model.save({ [title]: "Written by brainstem-js" }));
    done.renamed[key] = [model.id, title, model.get(title)];
  }
}

async function main() {
  const roots = resources.filter(({ path }) => path != null);
  await attempt("pages", turnPages);
  for (const resource of roots) await attempt(`load ${resource.key}`, () => loadAndInclude(resource));
  for (const resource of roots.filter(({ saved }) => saved))
    await attempt(`save ${resource.key}`, () => saveWhole(resource));
  console.log(JSON.stringify({ errors, ...done }));
}

main();
