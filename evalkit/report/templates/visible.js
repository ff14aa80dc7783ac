// Control, direction, half and ignorable characters are shown, so that nothing hides or reorders: `visible` in Python.
// Not written as literals, which old browsers cannot read.
const HALF = new RegExp(String.raw`[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]`, "g");
const UNSEEN = new RegExp(String.raw`[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f]|[\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb]|\ud82f[\udca0-\udca3]|\ud834[\udd73-\udd7a]|[\udb40-\udb43][\udc00-\udfff]|${HALF.source}`, "g");
// A joiner inside a word of a script that has them, or in a picture made of several, is part of it and stays.
const LETTER = String.raw`[\u0600-\u061a\u061d-\u109f\u1780-\u17b3\u17b6-\u180a\u1810-\u18af\u1b00-\u1bff\ufb50-\ufdff\ufe70-\ufefc]`;
const PICTURE = String.raw`(?:[\u2190-\u21ff\u2600-\u27bf\u2b00-\u2bff]|[\ud83c-\ud83e][\udc00-\udfff])`;
const [LETTER_BEFORE, LETTER_AFTER] = [new RegExp(`${LETTER}$`), new RegExp(`^${LETTER}`)];
const [PICTURE_BEFORE, PICTURE_AFTER] = [new RegExp(`(?:${PICTURE}|\\ufe0f)$`), new RegExp(`^${PICTURE}`)];
const VIRAMA_BEFORE = new RegExp(String.raw`[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u1039\u17d2]$`);
const joins = (mark, before, after) => mark === "\u200d" && PICTURE_BEFORE.test(before) && PICTURE_AFTER.test(after)
  || (mark === "\u200c" || mark === "\u200d") && (VIRAMA_BEFORE.test(before) || LETTER_BEFORE.test(before) && LETTER_AFTER.test(after));
const visible = (text) => String(text).replace(UNSEEN, (found, at, whole) =>
  joins(found, whole.slice(Math.max(0, at - 2), at), whole.slice(at + 1, at + 3)) ? found
    : `<U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);
