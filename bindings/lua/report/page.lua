-- One page of HTML from the results of scripts.
local html = ...
local escape, paragraphs, figure, printed = html.escape, html.paragraphs, html.figure, html.printed

-- ---- source ----

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
  while]]):gmatch "%l+" do
  KEYWORDS[word] = true
end

-- Where the long bracket that begins at `from` ends, or nil when none begins there.
local function long_end(source, from)
  local equals = source:match("^%[(=*)%[", from)
  return equals and (select(2, source:find("]" .. equals .. "]", from, true)) or #source)
end

-- The next piece of a Lua source, and what it is: "c" comment, "s" string, "k" keyword.
local function next_piece(source, from)
  if source:find("^%-%-", from) then
    return long_end(source, from + 2) or select(2, source:find("^[^\n]*", from)), "c"
  end
  local stop = long_end(source, from)
  if stop then return stop, "s" end
  local quote = source:match("^[\"']", from)
  if quote then
    stop = from
    repeat stop = source:find("[\\\n" .. quote .. "]", stop + 1) or #source
      local escaped = source:sub(stop, stop) == "\\"
      if escaped then stop = stop + 1 end
    until not escaped
    return stop, "s"
  end
  local word = source:match("^[%a_][%w_]*", from)
  if word then return from + #word - 1, KEYWORDS[word] and "k" end
  return select(2, source:find("^[^%a_\"'%[%-]+", from)) or from
end

local function marked(source)
  local parts, from = {}, 1
  while from <= #source do
    local stop, kind = next_piece(source, from)
    local text = escape(source:sub(from, stop))
    parts[#parts + 1] = kind and ('<span class="%s">%s</span>'):format(kind, text) or text
    from = stop + 1
  end
  return table.concat(parts)
end

-- ---- the page ----

local function state_of(result)
  if result.problem then return '<span class="bad">failed</span>' end
  return ('<span class="good">%.1f s</span>'):format(result.seconds)
end

local function section(number, result)
  local parts = {}
  local function add(format, ...) parts[#parts + 1] = format:format(...) end
  local name = escape(result.name)
  add('<section id="%s">\n<h2>%d. %s</h2>\n', name, number, escape(result.title))
  add("%s", paragraphs(result.text))
  add('<p class="soft">%s, %s</p>\n', escape(result.command), state_of(result))
  if result.problem then add("%s", printed(result.problem, ' class="bad"', "what went wrong with " .. name)) end
  add("%s", printed(result.output, "", "printed by " .. name))
  if #result.pictures > 0 then
    add '<div class="figures">\n'
    for _, picture in ipairs(result.pictures) do
      add("%s", figure(picture, escape(result.name .. "." .. picture.name):gsub("%s", "_")))
    end
    add "</div>\n"
  end
  if result.source then
    add('<details><summary>%s.lua, %d lines</summary>\n<pre tabindex="0"><code>%s</code></pre></details>\n', name,
      select(2, result.source:gsub("\n", "\n")), marked(result.source))
  end
  add "</section>\n"
  return table.concat(parts)
end

-- results: a list of {name, title, text, command, seconds, output, pictures = {{name, format, bytes}}, source or nil,
-- problem or nil}.
local function page(title, about, facts, results)
  local pictures = 0
  for _, result in ipairs(results) do pictures = pictures + #result.pictures end
  if pictures > 0 then facts = facts .. " A click on a picture shows it larger." end
  local parts = { html.head(title, paragraphs(about), escape(facts)), "<nav aria-label=\"Contents\"><ol>\n" }
  for _, result in ipairs(results) do
    parts[#parts + 1] = ('<li><a href="#%s">%s</a> <span>%s</span></li>\n'):format(escape(result.name),
      escape(result.title), state_of(result))
  end
  parts[#parts + 1] = "</ol></nav>\n<main>\n"
  for i, result in ipairs(results) do parts[#parts + 1] = section(i, result) end
  parts[#parts + 1] = "</main>\n</body>\n</html>\n"
  return table.concat(parts)
end

return page
