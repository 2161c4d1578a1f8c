// What each runtime does with the HTTP cache of the package, and what came of it.

export async function use({ HttpCache }) {
  const http = new HttpCache();
  let calls = 0;
  const handler = () => new Response(`call ${++calls}`, { headers: { "cache-control": "max-age=60" } });
  const texts = [];
  for (const _ of [1, 2]) {
    texts.push(await (await http.handle(new Request("https://example.com/"), handler)).text());
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  let wrong;
  try {
    new HttpCache({ maxByte: 1 });
  } catch (error) {
    wrong = error.message.split("? ")[0] + "?";
  }
  return { texts, hits: http.stats().hits, wrong };
}
