-- Pieces of pages of HTML with everything inside them: no script, no file beside them, no network.
--
-- Pictures are <img> with data URIs: what an SVG calls its parts, and how it styles them, stays within it.
local base64 = ...

-- ---- text ----

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- What a script printed may hold anything: bytes that are not UTF-8 and controls become the replacement character.
local function readable(text)
  text = text:gsub("\27%[[%d;]*m", ""):gsub("\r\n?", "\n")
  local parts, from = {}, 1
  while from <= #text do
    local _, wrong = utf8.len(text, from)
    parts[#parts + 1] = text:sub(from, (wrong or #text + 1) - 1)
    if wrong then parts[#parts + 1] = "\u{FFFD}" end
    from = (wrong or #text) + 1
  end
  return (table.concat(parts):gsub("[\0-\8\11-\31\127]", "\u{FFFD}"))
end

local function escape(text) return (readable(text):gsub("[&<>\"']", ENTITIES)) end

-- What was escaped in an SVG.
local function plain(text)
  return (text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&amp;", "&"))
end

-- A text in paragraphs, which blank lines part.
local function paragraphs(text, class)
  local parts = {}
  for part in (readable(text) .. "\n\n"):gmatch "(.-)\n[ \t]*\n" do
    local words = part:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
    if words ~= "" then parts[#parts + 1] = ("<p%s>%s</p>\n"):format(class or "", escape(words)) end
  end
  return table.concat(parts)
end

-- ---- a page ----

local STYLE = [[
:root { color-scheme: light dark; --paper: #fdfdfc; --ink: #1f2328; --soft: #5c6670; --line: #d9dde1; --card: #f3f4f2;
  --link: #0b5cad; --good: #1a7f37; --bad: #c62828; --word: #8250df; --string: #0a5d2c; --note: #6a737d; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181c; --ink: #e3e6e9; --soft: #9aa4ae; --line: #343a41; --card: #1d2126; --link: #7cb7ff;
    --good: #57c46f; --bad: #ff7b72; --word: #d2a8ff; --string: #8fd6a0; --note: #8b949e; }
  figure { filter: brightness(.88); }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem clamp(.75rem, 3vw, 2.5rem) 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0 1rem; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
section { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: 1.5rem; }
.soft, figcaption, nav span { color: var(--soft); font-size: .875rem; }
nav ol { columns: 20rem; column-gap: 2.5rem; padding-left: 1.6rem; margin: 1rem 0; }
nav li { padding: .1rem 0; break-inside: avoid; }
.good { color: var(--good); }
.bad { color: var(--bad); font-weight: 600; }
pre { background: linear-gradient(90deg, var(--card) 30%, transparent) 0 0 / 2.5rem 100% no-repeat local,
  linear-gradient(270deg, var(--card) 30%, transparent) 100% 0 / 2.5rem 100% no-repeat local,
  linear-gradient(90deg, #8888, transparent) 0 0 / .75rem 100% no-repeat,
  linear-gradient(270deg, #8888, transparent) 100% 0 / .75rem 100% no-repeat, var(--card);
  border: 1px solid var(--line); border-radius: .5rem; overflow-x: auto; margin: 1rem 0;
  padding: .75rem 1rem; font: .8125rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre.bad { border-color: var(--bad); font-weight: 400; white-space: pre-wrap; }
pre:focus-visible, summary:focus-visible, .larger:focus-visible { outline: 2px solid var(--link); }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; }
.figure { flex: 1 1 min(100%, 30rem); scroll-margin-top: 1rem; }
.wide { flex-basis: 100%; }
figure { margin: 0; height: 100%; padding: .5rem; background: #fff; border: 1px solid var(--line);
  border-radius: .5rem; }
figcaption { color: #5c6670; max-width: 46rem; margin: .25rem auto 0; padding: 0 .5rem; text-align: center; }
img { display: block; width: 100%; height: auto; max-width: calc(1.1 * var(--width)); margin: 0 auto; }
.larger { display: block; cursor: zoom-in; }
.back { display: none; }
figure:target { position: fixed; inset: 0; z-index: 1; overflow: auto; border: 0; border-radius: 0; }
figure:target img { width: max(100%, 48rem); max-width: calc((100vh - 6rem) * var(--shape)); }
figure:target .larger { cursor: default; pointer-events: none; }
figure:target .back { display: block; position: sticky; left: 0; top: 0; width: fit-content; padding: .25rem .75rem;
  background: #fff; color: #0b5cad; }
@media (max-width: 48rem) { figure:target img { width: max(100%, 48rem); max-width: none; } }
summary { cursor: pointer; color: var(--link); padding: .4rem 0; }
.c { color: var(--note); font-style: italic; } .s { color: var(--string); } .k { color: var(--word); }
]]

-- The page may load nothing and run nothing, whatever a script has printed.
local POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

local TYPES = { svg = "image/svg+xml", png = "image/png" }

-- Width and height that the picture says it has; a PNG is drawn at twice its size.
local function size_of(picture)
  if picture.format == "svg" then
    local head = picture.bytes:match "<svg[^>]*>" or ""
    return tonumber(head:match '%swidth="([%d.]+)') or 640, tonumber(head:match '%sheight="([%d.]+)') or 480
  end
  if #picture.bytes < 24 then return 640, 480 end
  local width, height = (">I4I4"):unpack(picture.bytes, 17)
  return width // 2, height // 2
end

-- What an SVG says of itself: its title and what there is to see.
local function told_by(picture)
  local head = picture.format == "svg" and picture.bytes:sub(1, 8192) or ""
  local title, doc = head:match "<title>([^<]*)</title>", head:match "<desc>([^<]*)</desc>"
  return title and plain(title) or picture.name:gsub("_", " "), doc and plain(doc)
end

-- A picture as wide as the page, or beside others; as the target of its link it fills the window, and what leads back
-- leads to where it stood. Nothing but styles does that.
local function figure(picture, id)
  local width, height = size_of(picture)
  local title, doc = told_by(picture)
  return ([[
<div class="figure%s" id="at.%s"><figure id="%s" style="--width: %.0fpx; --shape: %.4f">
<a class="back" href="#at.%s">back to the page</a>
<a class="larger" href="#%s" title="larger"><img src="data:%s;base64,%s" width="%.0f" height="%.0f" alt="%s"></a>
<figcaption>%s</figcaption></figure></div>
]]):format(width > 800 and " wide" or "", id, id, width, width / height, id, id, TYPES[picture.format],
    base64(picture.bytes), width, height, escape(doc and title .. ". " .. doc or title), escape(doc or title))
end

local function printed(text, class, label)
  if not text:find "%S" then return "" end
  return ('<pre%s tabindex="0" role="region" aria-label="%s">%s</pre>\n'):format(class, label, escape(text))
end

-- What a page begins with, up to the end of its header: a title, and texts that are HTML already.
local function head(title, about, facts)
  return ([[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%s">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s</title>
<style>
%s</style>
</head>
<body>
<header>
<h1>%s</h1>
%s<p class="soft">%s</p>
</header>
]]):format(escape(POLICY), escape(title), STYLE, escape(title), about, facts)
end

return { escape = escape, paragraphs = paragraphs, figure = figure, printed = printed, head = head }
