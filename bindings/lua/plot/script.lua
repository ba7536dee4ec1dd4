-- What goes out to gnuplot: words, numbers and data blocks in a form that can never be a command, and
-- the formats of pictures that come back.

local input, process = ...
local fail = input.check.fail

-- ---- words and numbers out ----

local NUMBER = "%.10g"
local MAX_TEXT = 300 -- characters; what is longer ends in an ellipsis

-- Valid UTF-8 without control characters, so that nothing but letters reaches gnuplot, a terminal
-- or an SVG reader.
local function clean(value)
  value = value:sub(1, 4 * MAX_TEXT + 4)
  local length, bad = utf8.len(value)
  while not length do
    value = value:sub(1, bad - 1) .. "?" .. value:sub(bad + 1)
    length, bad = utf8.len(value, bad)
  end
  value = value:gsub("[\0-\31\127]", " "):gsub("\xC2[\x80-\x9F]", " "):gsub("\xEF\xBF[\xBE\xBF]", "?")
  if utf8.len(value) > MAX_TEXT then value = value:sub(1, utf8.offset(value, MAX_TEXT) - 1) .. "…" end
  return value
end

-- A gnuplot string expression. Between single quotes only the quote itself means anything. Two of them
-- should be one, but gnuplot 5.4 takes them for an empty string where they come first; and a quote between
-- double quotes makes it expand @macros in the text that follows. So each is an escape in a constant of its
-- own: 'it' . "\047" . 's'.
local function quoted(value) return "'" .. clean(value):gsub("'", [[' . "\047" . ']]) .. "'" end

local CHARACTER = 0.6 -- the width of a letter in shares of the font's size, on the safe side

-- The same, broken between words into lines of at most so many pixels; the break is gnuplot's own constant.
local function wrapped(value, width, size)
  local most = math.max(8, math.floor(width / (CHARACTER * size)))
  local lines, line = {}, nil
  for word in clean(value):gmatch("%S+") do
    if line and utf8.len(line) + utf8.len(word) + 1 > most then
      lines[#lines + 1] = quoted(line)
      line = word
    else
      line = line and line .. " " .. word or word
    end
  end
  lines[#lines + 1] = quoted(line or "")
  return table.concat(lines, ' . "\\n" . ')
end

-- What fits into so many pixels; the rest is an ellipsis.
local function shortened(value, width, size)
  value = clean(value)
  local most = math.max(8, math.floor(width / (CHARACTER * size)))
  return utf8.len(value) > most and value:sub(1, utf8.offset(value, most) - 1) .. "…" or value
end

-- A host may have set a locale whose decimal sign is a comma; gnuplot reads a point.
local function pointed(block)
  local sign = ("%.1f"):format(0.5):sub(2, -2)
  return sign == "." and block or (block:gsub(sign, "."))
end

-- One number for a command.
local function num(x) return pointed(("%.6g"):format(x)) end

local function exact(x) return pointed(NUMBER:format(x)) end

-- ---- the gate ----
-- Outside of quotes a command has signs, numbers and these words, none of which runs a program or opens a file; data
-- have no more than numbers. Whatever a value may be that was put into one, it does not get farther than here.

local WORDS = {}
for word in ([[
  Left NaN at back background bmargin border bottom boxes boxxyerror by cb cblabel cbrange center colorbox defined
  dt font filledcurves format front fs grid horizontal image in inside key label layout lc left lines linespoints
  lmargin logscale lt lw matrix maxcolors maxcols multiplot noborder noenhanced nomirror nonuniform notitle noytics
  offset opaque origin out outside palette pi plot points ps pt ratio reset reverse rgb right rmargin rotate samplen
  scale screen set size solid spacing textcolor tics title tmargin top transparent unset using vertical width with x
  xlabel xrange xtics xzeroaxis y ylabel yrange ytics yzeroaxis
]]):gmatch "%a+" do
  WORDS[word] = true
end

local function check_command(line)
  local bare = line:gsub("'[^'\n]*'", ""):gsub('"\\047"', ""):gsub('"\\n"', ""):gsub("%$d%d+", "")
  local wrong = bare:match "[^%w ()%[%],.:+-]"
  for word in bare:gmatch "%f[%w]%a%w*" do wrong = wrong or not WORDS[word] and word end
  if wrong then fail("plot: '%s' cannot be drawn (a command for gnuplot would hold it)", clean(wrong)) end
  return line
end

local function check_data(rows)
  local wrong = rows:match "[^%w%s.+-]"
  if wrong then fail("plot: '%s' cannot be drawn (data for gnuplot would hold it)", clean(wrong)) end
  return rows
end

-- Collects gnuplot's commands. Data go into numbered blocks before the command that draws them.
local Script = {}
Script.__index = Script

-- In text there is no room for a grid, nor for the scale of an image that is not drawn.
local function new_script(in_text)
  return setmetatable({counter = {0}, text = in_text, words = {}}, Script)
end

-- A script of its own for a part of the picture, to be appended; blocks are numbered on.
function Script:part()
  local part = new_script(self.text)
  part.counter, part.width, part.height = self.counter, self.width, self.height
  return part
end

function Script:append(part) table.move(part, 1, #part, #self + 1, self) end

function Script:add(command, ...)
  self[#self + 1] = check_command(select("#", ...) > 0 and command:format(...) or command)
end

function Script:numbers(command, ...) self:add(pointed(command:format(...))) end

-- How a plot element ends: its words in the legend, which are remembered.
function Script:title(label)
  if not label or label == "" then return "notitle" end
  local words = shortened(label, self.width - 110, 12)
  local title = "title " .. quoted(words)
  self.words[title] = words
  return title
end

-- Words at a point of the plane.
function Script:label(words, x, y, size, color, place)
  self:add("set label %s at %s, %s %s front font ',%s' textcolor rgb '%s'", quoted(words),
    exact(x), exact(y), place, num(size), color)
end

function Script:block(rows)
  self.counter[1] = self.counter[1] + 1
  local name = "$d" .. self.counter[1]
  self[#self + 1] = name .. " << end_of_data\n" .. check_data(pointed(table.concat(rows, "\n"))) .. "\nend_of_data"
  return name
end

-- Rows "x y" of a curve; a point that is not finite is a gap, which is an empty line.
local function points(xs, ys, rows)
  rows = rows or {}
  local format, n = NUMBER .. " " .. NUMBER, #rows
  for i = 1, #xs do
    local x, y = xs[i], ys[i]
    if x - x == 0 and y - y == 0 then
      n = n + 1
      rows[n] = format:format(x, y)
    elseif n > 0 and rows[n] ~= "" then
      n = n + 1
      rows[n] = ""
    end
  end
  return rows
end

-- ---- formats ----
-- A row per file name extension: gnuplot's terminal for a size in pixels, and what is done to its answer.

-- Drops what gnuplot writes for nobody: its name, tooltips with the names of data blocks, empty groups
-- and symbols that no point uses. User text cannot match: its '<' is escaped.
local function compact_svg(svg)
  svg = svg:gsub("<title>Gnuplot</title>\n<desc>[^<]*</desc>\n", "", 1)
  svg = svg:gsub('<g id="gnuplot_plot_%d+" ><title>[^<]*</title>', "<g>")
  svg = svg:gsub("\t<filter id='%a+'.-</filter>\n", "")
  svg = svg:gsub('<g fill="none" color="[^"]*" stroke="[^"]*" stroke%-width="[^"]*" [%l%-="]+ [%l%-="]+>\n</g>\n', "")
  if not svg:find("xlink:href='#gpPt", 1, true) then svg = svg:gsub("<defs>.-</defs>\n", "", 1) end
  return svg
end

-- gnuplot leaves '>' as it is, also where "]]>" may not stand, and what looks like the number of a character.
local function escaped(svg) return (svg:gsub("]]>", "]]&gt;"):gsub("&#x", "&amp;#x")) end

-- Viewers smooth a small image; the pixels of a picture are to be seen.
local function sharp_images(svg, figures)
  local images = {}
  for _, figure in ipairs(figures) do
    for _, layer in ipairs(figure.layers) do
      if layer.fills then images[#images + 1] = layer end
    end
  end
  local i = 0
  return (svg:gsub("<image ", function(tag)
    i = i + 1
    return images[i] and not images[i].smooth and tag .. "style='image-rendering:pixelated' " or nil
  end))
end

local ENTITIES = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;"}

-- What the picture is called and what it shows, for those who cannot see it and for pages that hold it.
local function with_words(svg, told)
  local parts = {}
  local function add(tag, words)
    if words then parts[#parts + 1] = ("<%s>%s</%s>\n"):format(tag, clean(words):gsub("[&<>]", ENTITIES), tag) end
  end
  add("title", told.name)
  add("desc", told.doc)
  if #parts == 0 then return svg end
  return (svg:gsub("<svg[^>]*>\n", function(tag) return tag .. table.concat(parts) end, 1))
end

-- gnuplot's SVG takes a line for 1.5 times as high as the terminal's font, so that what stands below a plot would touch
-- what follows; that font is smaller for it. All words name theirs, but marks are as large as it.
local SVG_FONT = 11
local function full_marks(svg)
  return (svg:gsub("(<use [^>]*scale%()([%d.]+)", function(head, scale)
    return head .. pointed(("%.2f"):format(scale * 13 / SVG_FONT))
  end))
end

-- The unit is SVG's pixel, 1/96 inch. cairo's font sizes are points of 1/72 inch, and the other factors
-- below were measured so that marks and dashes come out alike in all formats.
local POINT = 0.75

local FORMATS = {
  svg = {
    terminal = function(w, h)
      local form = "svg size %d,%d fixed noenhanced font 'sans-serif,%d' background '#ffffff'"
      return form:format(w, h, SVG_FONT)
    end,
    finish = function(bytes, figures, told)
      return with_words(full_marks(sharp_images(compact_svg(escaped(bytes)), figures)), told)
    end,
  },
  png = {
    terminal = function(w, h, s)
      local form = "pngcairo size %d,%d noenhanced font 'sans,13' fontscale %s linewidth %s dashlength 1.8 "
        .. "pointscale %s background '#ffffff'"
      return form:format(math.floor(w * s), math.floor(h * s), num(s * POINT), num(s), num(s * 1.77))
    end,
  },
  pdf = {
    terminal = function(w, h)
      local form = "pdfcairo size %sin,%sin noenhanced font 'sans,13' fontscale %s linewidth 1.33 dashlength 2.2 "
        .. "pointscale 1.28 background '#ffffff'"
      return form:format(num(w / 96), num(h / 96), num(POINT))
    end,
    -- The same bytes every time: the date of making, which cairo writes in clear, goes.
    finish = function(bytes)
      return (bytes:gsub("/CreationDate %(D:[^)]*%)", function(date) return (" "):rep(#date) end))
    end,
  },
  -- Of terminals: no file has it.
  sixel = {
    hidden = true,
    terminal = function(w, h) return ("sixelgd size %d,%d truecolor font 'sans,10' noenhanced"):format(w, h) end,
  },
  txt = {
    terminal = function(w, h) return ("dumb size %d,%d noenhanced mono"):format(w // 8, h // 18) end,
    finish = function(bytes) return (bytes:gsub("\f", ""):gsub("[ \t]+\n", "\n"):gsub("^\n+", "")) end,
  },
}

-- gnuplot's first complaint that is not a mere warning: it repeats the command, marks the place in it,
-- and then says '"/dev/stdin" line 12: what is wrong'.
local function complaint(errors)
  for line in errors:gmatch("[^\n]+") do
    local said = line:match("^%s*\"[^\"]*\" line %d+: (.*)$")
    if said and not said:find("^warning") then return clean(said) end
  end
  local first = errors:match("%S[^\n]*")
  return first and clean(first)
end

-- gnuplot reads "-" one byte at a time; what it opens by name it reads in blocks, ten times faster.
-- The picture in each of the formats, which are made at the same time. told: its name and doc.
local function render(where, picture, write, formats, s, told)
  local commands, jobs = {}, {} -- commands for text, and for the rest
  local w, h = picture.width, picture.height
  for i, format in ipairs(formats) do
    local in_text = format == "txt"
    if not commands[in_text] then
      local script = new_script(in_text)
      write(picture, script)
      commands[in_text] = table.concat(script, "\n")
    end
    local head = "set encoding utf8\nset terminal " .. FORMATS[format].terminal(w, h, s) .. "\n"
    jobs[i] = {argv = {"gnuplot", "-d", "/dev/stdin"}, input = head .. commands[in_text] .. "\n"}
  end
  local pictures = {}
  for i, result in ipairs(process.run_all(jobs)) do
    if result.missing then fail("plot: gnuplot is not installed (on Debian: apt install gnuplot-nox)") end
    if result.error then fail("%s: gnuplot %s", where, result.error) end
    if result.status ~= 0 or result.stdout == "" then
      fail("%s: gnuplot failed: %s", where, complaint(result.stderr) or "exit status " .. result.status)
    end
    local finish = FORMATS[formats[i]].finish
    pictures[formats[i]] = finish and finish(result.stdout, picture.figures or {picture}, told) or result.stdout
  end
  return pictures
end

return {
  render = render, FORMATS = FORMATS, new = new_script, clean = clean, quoted = quoted, wrapped = wrapped,
  shortened = shortened,  num = num, exact = exact, points = points, NUMBER = NUMBER, CHARACTER = CHARACTER,
}
