// What cards and lists are made of. Names, labels and errors come from outside: they only ever become text.

/**
 * An element of the page.
 * @param {string} tag
 * @param {Object} attributes those that are functions listen to an event, `true` and `false` are there or not
 * @param {...(Node|string)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** A name from outside on one line, in which what would turn the writing round is written as an escape. */
export const printable = (name) => name.replaceAll(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, escaped);

const escaped = (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`;

/** A name from outside as part of the page; it may be written in either direction. */
export const named = (name, attributes = {}) => make("bdi", attributes, printable(name));

/** A share of 0 to 1 in percent; what is neither nothing nor all is never rounded to it. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "<\u00a00.1\u00a0%";
  if (share < 1 && share > 0.999) return ">\u00a099.9\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

/** A number of things in words. */
export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** Bytes in words. */
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
