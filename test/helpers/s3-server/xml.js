const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

/** An XML document of nested objects; arrays repeat their element. */
export function toXml(root, content) {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}>${inner(content)}</${root}>`;
}

function inner(content) {
  if (typeof content !== 'object') return String(content).replace(/[&<>"']/g, (char) => ENTITIES[char]);
  return Object.entries(content)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((each) => [name, each]))
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `<${name}>${inner(value)}</${name}>`)
    .join('');
}

/** The texts of all elements of a name; enough for the one request body S3 has here. */
export function elementTexts(xml, name) {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text]) =>
    text.replace(
      /&(amp|lt|gt|quot|apos);/g,
      (entity) => Object.keys(ENTITIES).find((char) => ENTITIES[char] === entity) ?? entity,
    ),
  );
}
