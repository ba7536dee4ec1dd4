-- peri.report on small scripts; and scripts/report.lua as a whole, looked at by a browser.
local peri = require "perilune"
local run = require "support.program"
local process = require "support.internal".process
local texts = require "support.pictures"
local has, lacks = texts.has, texts.lacks

local folder

local function write(path, text) assert(process.write(folder .. "/" .. path, text)) end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function count(text, what)
  local n, from = 0, 1
  while true do
    local first, last = text:find(what, from, true)
    if not first then return n end
    n, from = n + 1, last + 1
  end
end

setup(function()
  folder = os.tmpname()
  os.remove(folder)
  assert(process.mkdir(folder .. "/scripts"))
end)

teardown(function() assert.equal(0, (process.run { argv = { "rm", "-r", folder } })) end)

-- What a script needs to draw without gnuplot: its folder.
local HEAD = [[
local out
for i, word in ipairs(arg) do if word == "--out" then out = arg[i + 1] end end
local function draw(name, bytes)
  assert(os.execute("mkdir -p '" .. out .. "'"))
  local file <close> = assert(io.open(out .. "/" .. name, "wb"))
  file:write(bytes)
end
]]

local function report(names, more)
  local scripts = {}
  for i, name in ipairs(names) do
    scripts[i] = { name = name, title = name .. " & more", text = "About <" .. name .. ">." }
  end
  local given = { title = "Tests & <trials>", scripts = scripts, folder = folder .. "/scripts", out = folder .. "/out",
    progress = false }
  for key, value in pairs(more or {}) do given[key] = value end
  local failed, path = peri.report(given)
  return read(path), failed, path
end

describe("peri.report", function()
  it("shows what scripts printed, drew and are, and loads nothing", function()
    write("scripts/good.lua", HEAD .. [==[
print("<b>bold</b> & \"quoted\" 'too' \xFF\0\27[31mred\27[0m", table.concat(arg, " "))
draw("one.svg", "f") draw("two.svg", "fo") draw("three.svg", "foo") draw("one.png", "not shown")
draw("notes.txt", "no picture")
]==])
    local page, failed, path = report({ "good" }, { arguments = { "--quick" }, about = "All <of> them." })
    assert.same({}, failed)
    has(page, "<p>All &lt;of&gt; them.</p>")
    assert.equal(folder .. "/out/index.html", path)
    has(page, "<title>Tests &amp; &lt;trials&gt;</title>")
    has(page, "<p>About &lt;good&gt;.</p>")
    has(page, "&lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot; &#39;too&#39; \u{FFFD}\u{FFFD}red\t--quick --out /")
    lacks(page, "<b>")
    has(page, 'src="data:image/svg+xml;base64,Zg=="')
    has(page, 'src="data:image/svg+xml;base64,Zm8="')
    has(page, 'src="data:image/svg+xml;base64,Zm9v"')
    assert.equal(3, count(page, "<img "))
    assert.equal(3, count(page, "src="))
    for _, outside in ipairs { "http:", "https:", "url(", "@import", "<script", "<link" } do lacks(page, outside) end
    has(page, "default-src &#39;none&#39;")
  end)

  it("shows a picture's own size, a PNG that has no SVG beside it at half of its", function()
    write("scripts/sizes.lua", HEAD .. [==[
draw("a.svg", '<?xml version="1.0"?><svg viewBox="0 0 1 1" width="700" height="300.5">')
draw("b.png", "\137PNG\r\n\26\n\0\0\0\13IHDR\0\0\4\0\0\0\2\0")
]==])
    local page = report { "sizes" }
    assert.matches('image/svg%+xml[^>]* width="700" height="30[01]"', page)
    assert.matches('image/png[^>]* width="512" height="256"', page)
  end)

  it("has pictures in the order of their writing, with their words below them, and larger", function()
    write("scripts/order.lua", HEAD .. [==[
local function svg(words) return '<?xml version="1.0"?>\n<svg width="640" height="480">\n' .. words .. "</svg>" end
draw("zebra.svg", svg "<title>One &lt;first&gt; &amp; best</title>\n<desc>What there is to see.</desc>\n")
draw("yak.svg", svg "<title>The second</title>\n")
draw("third_one.png", "no SVG")
draw("ant.svg", svg "")
local second = 1700000000
for i, name in ipairs { "zebra.svg", "yak.svg", "third_one.png", "ant.svg" } do
  assert(os.execute(("touch -d @%d '%s/%s'"):format(second + i, out, name)))
end
]==])
    local page, ids, captions, alts = report { "order" }, {}, {}, {}
    for id in page:gmatch '<figure id="order%.([%w_]+)"' do ids[#ids + 1] = id end
    for caption in page:gmatch "<figcaption>(.-)</figcaption>" do captions[#captions + 1] = caption end
    for alt in page:gmatch ' alt="(.-)"' do alts[#alts + 1] = alt end
    assert.same({ "zebra", "yak", "third_one", "ant" }, ids)
    assert.same({ "What there is to see.", "The second", "third one", "ant" }, captions)
    assert.same({ "One &lt;first&gt; &amp; best. What there is to see.", "The second", "third one", "ant" }, alts)
    for _, id in ipairs(ids) do
      assert.matches(('<a class="larger" href="#order%%.%s"[^>]*><img '):format(id), page)
      has(page, ('<div class="figure" id="at.order.%s">'):format(id))
      has(page, ('<a class="back" href="#at.order.%s">'):format(id))
    end
  end)

  it("makes paragraphs of blank lines, and needs no text", function()
    write("scripts/words.lua", "print 'ran'")
    local script = { name = "words", title = "Words", text = "One\n  line.\n \n\nAnother & <more>.\n" }
    local page = report({}, { scripts = { script }, about = "First.\n\nSecond." })
    has(page, "<p>One line.</p>\n<p>Another &amp; &lt;more&gt;.</p>\n")
    has(page, "<p>First.</p>\n<p>Second.</p>\n")
    script.text = nil
    local without = report({}, { scripts = { script } })
    assert.equal(count(page, "<p>") - 4, count(without, "<p>"))
    has(without, ">ran\n</pre>")
  end)

  it("goes on after scripts that fail, and names them", function()
    write("scripts/raises.lua", "print 'so far' error('no <luck>', 0)")
    write("scripts/silent.lua", "os.exit(3)")
    write("scripts/killed.lua", "os.execute 'kill -9 $PPID'")
    write("scripts/fine.lua", "print 'all is well'")
    local page, failed = report { "raises", "silent", "killed", "absent", "fine" }
    assert.same({ "raises", "silent", "killed", "absent" }, failed)
    has(page, "no &lt;luck&gt;")
    has(page, "so far\n</pre>")
    has(page, "it said nothing on stderr\n(exit status 3)")
    has(page, "(exit status 137)")
    has(page, "absent.lua")
    has(page, "all is well")
    assert.equal(2 * 4, count(page, '<span class="bad">failed</span>')) -- in the list and in the section
    assert.equal(2 * 1, count(page, '<span class="good">'))
    assert.equal(4, count(page, "<details>")) -- what is absent has no source
  end)

  it("does not take pictures of an earlier run for those of this one", function()
    write("scripts/once.lua", HEAD .. "draw('old.svg', 'old')")
    assert.equal(1, count(report { "once" }, "<img "))
    write("scripts/once.lua", HEAD .. "draw('new.png', 'new')")
    local page = report { "once" }
    assert.equal(1, count(page, "<img "))
    has(page, "<figcaption>new</figcaption>")
  end)

  it("runs as many side by side as it is told, each with one thread", function()
    local line = [[
local file <close> = assert(io.open(%q, "a"))
file:setvbuf "no"
file:write "b"
os.execute "sleep 0.1"
file:write "e"
print("threads: " .. require "perilune".get_num_threads())]]
    for at_once = 1, 2 do
      local path = folder .. "/order" .. at_once
      local names = { "w1", "w2", "w3" }
      for _, name in ipairs(names) do write("scripts/" .. name .. ".lua", line:format(path)) end
      local page = report(names, { at_once = at_once })
      assert.equal(3, count(page, "threads: 1\n"))
      local running, most = 0, 0
      for letter in read(path):gmatch "." do
        running = running + (letter == "b" and 1 or -1)
        most = math.max(most, running)
      end
      assert.equal(at_once, most)
    end
  end)

  it("marks sources without losing a letter", function()
    local function plain(html)
      local text = html:gsub("</?span[^>]*>", "")
      for entity, letter in pairs { lt = "<", gt = ">", quot = '"', ["#39"] = "'" } do
        text = text:gsub("&" .. entity .. ";", letter)
      end
      return (text:gsub("&amp;", "&"))
    end
    local odd = [=====[
local s = [==[ ]] ]==] .. 'a\'b' .. "c\\" -- end
--[[ for
while ]] if a[b[1]] then x = 'open
end --]=====]
    write("scripts/odd.lua", odd)
    local page = report { "odd" }
    local html = page:match "<code>(.-)</code>"
    assert.equal(odd, plain(html))
    for _, piece in ipairs {
      '<span class="k">local</span> s', '<span class="s">[==[ ]] ]==]</span>',
      '<span class="s">&#39;a\\&#39;b&#39;</span>', '<span class="s">&quot;c\\\\&quot;</span>',
      '<span class="c">-- end</span>\n', '<span class="c">--[[ for\nwhile ]]</span>',
      '<span class="k">if</span> a[b[1]] <span class="k">then</span>', '<span class="c">--</span>',
    } do
      has(html, piece)
    end
    for _, name in ipairs { "circle", "report" } do
      local source = read("scripts/" .. name .. ".lua")
      write("scripts/copy.lua", "os.exit(0)\n" .. source)
      assert.equal("os.exit(0)\n" .. source, plain(report({ "copy" }):match "<code>(.-)</code>"))
    end
  end)

  it("refuses what it cannot do", function()
    local script = { name = "a", title = "A", text = "" }
    local cases = {
      { "report: option title is missing (expected a string)", { scripts = { script }, folder = "f", out = "o" } },
      { "report: there are no scripts", { scripts = {} } },
      { "report: there are two scripts named a", { scripts = { script, script } } },
      { "report: script 1: name is '../a' (expected letters, digits, '_' and '-')",
        { scripts = { { name = "../a", title = "", text = "" } } } },
      { "report: script 1: text must be a string", { scripts = { { name = "a", title = "", text = 1 } } } },
      { "report: script 1: arguments must be a table, got 'x'",
        { scripts = { { name = "a", title = "", text = "", arguments = "x" } } } },
      { "report: at_once is 0 (expected at least 1)", { at_once = 0 } },
      { "report: out must be a folder, got 1", { out = 1 } },
      { "report: out must be a folder, got ''", { out = "" } },
      { "report: unknown option jobs (known: about, ", { jobs = 1 } },
      { "report: options must be a table, got nil", false },
    }
    for i, case in ipairs(cases) do
      local given = case[2] or nil
      if given and i > 1 then
        for key, value in pairs { title = "T", scripts = { script }, folder = "f", out = "o" } do
          if given[key] == nil then given[key] = value end
        end
      end
      local ok, message = pcall(peri.report, given)
      assert.is_false(ok)
      has(message, case[1])
    end
    write("file", "")
    write("scripts/fine.lua", "")
    local ok, message = pcall(report, { "fine" }, { out = folder .. "/file" })
    assert.is_false(ok)
    has(message, "report: cannot make the folder '" .. folder .. "/file': ")
  end)
end)

-- ---- the browser ----

-- What the wrapper finds in a page at two widths, as lines of words: the page stands in frames of its own, as wide as a
-- desk's screen and as a phone's. `ink` is the share of a picture's pixels that are not white, in thousandths.
local WRAPPER = [[
<!DOCTYPE html><meta charset="utf-8"><title>wrapper</title>
<style>html, body { margin: 0 } body { display: flex } iframe { border: 0; height: 3000px }</style>
<iframe style="width: 1200px" src="PAGE"></iframe><iframe style="width: 390px" src="PAGE"></iframe>
<pre id="findings" hidden></pre>
<script>
function ink(image) {
  const canvas = document.createElement("canvas");
  canvas.width = 200; canvas.height = 150;
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; context.fillRect(0, 0, 200, 150);
  if (image.naturalWidth > 0) context.drawImage(image, 0, 0, 200, 150);
  const bytes = context.getImageData(0, 0, 200, 150).data;
  let marked = 0;
  for (let i = 0; i < bytes.length; i += 4) if (bytes[i] + bytes[i + 1] + bytes[i + 2] < 720) marked++;
  return Math.round(1000 * marked / (200 * 150));
}
addEventListener("load", () => {
  const lines = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, width = frame.clientWidth;
    for (const image of page.images) {
      const box = image.getBoundingClientRect();
      lines.push(["image", width, image.naturalWidth, image.naturalHeight, Math.round(box.width),
        Math.round(box.height), ink(image)].join(" "));
    }
    const ids = Array.from(page.querySelectorAll("[id]"), e => e.id);
    lines.push(["ids", width, ids.length, new Set(ids).size].join(" "));
    const first = page.querySelector("figure");
    frame.contentWindow.location.hash = first.id;
    const target = first.getBoundingClientRect(), shown = first.querySelector("img").getBoundingClientRect();
    lines.push(["larger", width, Math.round(target.width), Math.round(target.height),
      Math.round(shown.width)].join(" "));
    frame.contentWindow.location.hash = first.parentElement.id;
    lines.push(["back", width, Math.round(first.getBoundingClientRect().width)].join(" "));
    const folds = page.querySelectorAll("details");
    for (const fold of folds) fold.open = true;
    lines.push(["page", width, page.documentElement.scrollWidth, folds.length].join(" "));
    for (const fold of folds) fold.open = false;
  }
  document.getElementById("findings").textContent = lines.join("\n");
});
</script>
]]

local function chromium(words)
  local home = folder .. "/home"
  local argv = {
    "timeout", "-k", "5", "90", "env", "HOME=" .. home, "XDG_CONFIG_HOME=" .. home, "XDG_CACHE_HOME=" .. home,
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
  }
  table.move(words, 1, #words, #argv + 1, argv)
  return process.run { argv = argv }
end

-- The findings in a page as lists of words by their kind, what the console said, and the path of a screenshot.
local function look_at(path, name)
  write(name .. ".html", (WRAPPER:gsub("PAGE", function() return "file://" .. path end)))
  local picture = ("%s/%s.png"):format(folder, name)
  local status, dom, err = chromium {
    "--user-data-dir=" .. folder .. "/profile_" .. name, "--allow-file-access-from-files", "--enable-logging=stderr",
    "--hide-scrollbars", "--window-size=1590,3000", "--screenshot=" .. picture, "--dump-dom",
    ("file://%s/%s.html"):format(folder, name),
  }
  assert.equal(0, status, err)
  local findings, console = { image = {}, ids = {}, page = {}, larger = {}, back = {} }, {}
  for line in assert(dom:match '<pre id="findings"[^>]*>(.-)</pre>', dom):gmatch "[^\n]+" do
    local kind, words = line:match "^(%l+) (.*)$"
    local numbers = {}
    for word in words:gmatch "%S+" do numbers[#numbers + 1] = tonumber(word) end
    table.insert(findings[kind], numbers)
  end
  for line in err:gmatch "[^\n]+" do
    if line:find "CONSOLE" then console[#console + 1] = line end
  end
  return findings, console, picture
end

local function why_no_browser()
  local status, out, err = chromium { "--version" }
  if status == 0 and out:find "Chrom" then return nil end
  return "Chromium cannot be run here: " .. (err or out):match "[^\n]*"
end

describe("the whole report #program #slow", function()
  it("holds every script's table and pictures, and a browser draws them all", function()
    local out = folder .. "/whole"
    local said, err, status = run { "scripts/report.lua", "--quick", "--out", out }
    assert.equal("", err, said)
    assert.equal(0, status)
    has(said, "page: " .. out .. "/index.html\n")
    local page, pictures, sections = read(out .. "/index.html"), 0, 0
    for name, text in page:gmatch '<section id="([%w_]+)">(.-)</section>' do
      sections = sections + 1
      has("\n" .. said, "\n" .. name .. " ")
      assert.matches("<pre tabindex=[^>]+>%S", text) -- its table
      for _, entry in ipairs(assert(process.list(out .. "/" .. name))) do
        if entry:find "%.svg$" then
          pictures = pictures + 1
          lacks(text, ("<figcaption>%s</figcaption>"):format(entry:sub(1, -5))) -- but what it shows
          has(text, ('<figure id="%s.%s"'):format(name, entry:sub(1, -5)))
          has(read(("%s/%s/%s"):format(out, name, entry)), "<desc>") -- beyond its title
        end
      end
      assert.is_true(count(text, "<img ") > 0, name)
      assert.is_nil(text:find("pictures: " .. out, 1, true)) -- they stand on the page
    end
    assert.equal(15, sections)
    assert.equal(pictures, count(page, "<img "))

    local missing = why_no_browser()
    if missing then return pending(missing) end
    local findings, console, screenshot = look_at(out .. "/index.html", "look")
    assert.same({}, console)
    assert.equal(2 * pictures, #findings.image)
    for _, image in ipairs(findings.image) do
      local frame, width, height, shown_width, shown_height, ink = table.unpack(image)
      assert.is_true(width >= 300 and height >= 200, width .. "x" .. height)
      if frame > 1000 then
        assert.is_true(shown_width >= 400 and shown_height >= 150, shown_width .. "x" .. shown_height)
      else -- as wide as the screen lets it be: it can be enlarged
        assert.is_true(shown_width >= 0.85 * frame, shown_width .. "x" .. shown_height)
      end
      assert.is_true(math.abs(shown_width / shown_height - width / height) < 0.05, shown_width .. "x" .. shown_height)
      assert.is_true(shown_width <= frame, ("a picture %d wide in a window of %d"):format(shown_width, frame))
      assert.is_true(ink >= 10, ("%d thousandths of a picture are drawn, %d wide"):format(ink, frame))
    end
    for _, ids in ipairs(findings.ids) do assert.equal(ids[2], ids[3]) end
    for i, larger in ipairs(findings.larger) do -- a picture fills the window, and goes back to its place
      assert.same({ larger[1], 3000 }, { larger[2], larger[3] })
      assert.is_true(larger[4] >= 700, larger[4])
      assert.is_true(findings.back[i][2] < larger[1], findings.back[i][2])
    end
    assert.equal(2, #findings.larger)
    for _, width in ipairs(findings.page) do
      assert.is_true(width[2] <= width[1], ("a page %d wide in %d"):format(width[2], width[1])) -- with all folds open
      assert.equal(sections, width[3])
    end
    local bytes = read(screenshot)
    assert.matches("^\137PNG", bytes)
    local width, height = (">I4I4"):unpack(bytes, 17)
    assert.same({ 1590, 3000 }, { width, height })
    assert.is_true(#bytes > 100000, #bytes) -- an empty one of this size has 20,000
  end)

  it("would not pass with pictures that cannot be drawn, scripts or wide text", function()
    local missing = why_no_browser()
    if missing then return pending(missing) end
    write("broken.html", [[<!DOCTYPE html><html><head><meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:"></head><body>
      <p id="a">one</p><p id="a">two</p><pre>]] .. ("wide "):rep(300) .. [[</pre>
      <div id="at"><figure id="f">
      <img src="data:image/svg+xml;base64,PHN2Zz4=" alt="no SVG"></figure></div>
      <script>document.title = "ran"</script>
      </body></html>]])
    local findings, console = look_at(folder .. "/broken.html", "broken_look")
    assert.equal(0, findings.image[1][2])
    assert.equal(0, findings.image[1][6])
    assert.same({ 1200, 4, 3 }, findings.ids[1])
    assert.is_true(findings.larger[1][3] < 3000)
    assert.is_true(findings.page[2][2] > 390)
    assert.equal(2, #console) -- the policy speaks, once for each frame
  end)
end)
