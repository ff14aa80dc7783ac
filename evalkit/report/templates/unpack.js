// Opens one data block of the page: base64 gzip.
async function unpack(name) {
  const block = document.getElementById(name);
  if (!block) throw new Error(`The data block ${name} is missing: the file is cut off.`);
  const binary = atob(block.textContent);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
