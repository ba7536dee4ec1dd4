-- peri.plot: what is checked, what gnuplot is told, and what files hold.
local peri = require "perilune"
local plot = peri.plot
local internal = require "support.internal"
local process = internal.process
local xml = require "support.xml"
local message_of = require("support.fails").message
local pictures = require "support.pictures"
local commands_of, has, lacks = pictures.commands_of, pictures.has, pictures.lacks
local tensor = pictures.tensor
local folder = pictures.folder
local file, content, exists, made = folder.file, folder.content, folder.exists, folder.made

local NAN = 0 / 0

describe("plot #once", function()
  setup(folder.make)
  teardown(folder.remove)

  describe("formats", function()
    local figure

    before_each(function() figure = plot.figure{title = "loss"}:line({3, 2, 1}, {label = "train"}) end)

    it("saves SVG, PNG, PDF and text in one call", function()
      local paths = {}
      for i, name in ipairs{made("a.svg", "a.png", "a.pdf", "a.txt")} do paths[i] = file(name) end
      assert.are.equal(figure, figure:save(paths))
      has(content("a.svg"), '<svg')
      has(content("a.svg"), "<text>loss</text>")
      assert.are.equal("\137PNG\r\n\26\n", content("a.png"):sub(1, 8))
      assert.are.equal("%PDF-", content("a.pdf"):sub(1, 5))
      has(content("a.txt"), "train")
    end)

    it("has twice the pixels in a PNG unless scale says otherwise", function()
      local function size(name)
        local width, height = (">I4I4"):unpack(content(name), 17)
        return width, height
      end
      figure:save(file(made("b.png")))
      assert.are.same({1280, 960}, {size("b.png")})
      figure:save(file("b.png"), {scale = 1})
      assert.are.same({640, 480}, {size("b.png")})
    end)

    it("gives the same bytes every time", function()
      for _, name in ipairs{made("c.svg", "c.png", "c.pdf")} do
        figure:save(file(name))
        local first = content(name)
        figure:save(file(name))
        assert.are.equal(first, content(name))
      end
      assert.is_true(#content("c.svg") < 10000)
      lacks(content("c.svg"), "Gnuplot")
    end)

    it("makes the folders of a path", function()
      figure:save(file("deep/er/a.svg"))
      assert.is_true(exists("deep/er/a.svg"))
      made("deep/er/a.svg", "deep/er", "deep")
    end)

    it("shows figures, images and pages as text", function()
      local lines, real = {}, print
      _G.print = function(line) lines[#lines + 1] = line end
      local ok, message = pcall(function()
        figure:show()
        plot.figure{title = "digit"}:image{{0, 1}, {0.5, 0}}:show()
        plot.page{title = "both", figure, figure}:show()
      end)
      _G.print = real
      assert(ok, message)
      has(lines[1], "***")
      has(lines[1], "train")
      assert.are.equal("digit\n  @@\n++", lines[2])
      has(lines[3], "both")
    end)
  end)

  describe("what gnuplot is told", function()
    it("starts without a shell and without file names", function()
      local commands, argv = commands_of(plot.figure():line{1, 2}, file "secret-name.png")
      assert.are.same({"gnuplot", "-d", "/dev/stdin"}, argv)
      lacks(commands, "secret-name")
      lacks(commands, file())
      has(commands, "noenhanced")
    end)

    it("takes tensors and lists, with and without x", function()
      local expected = "10 1\n20 4\n30 9"
      has(commands_of(plot.figure():line({10, 20, 30}, {1, 4, 9})), expected)
      has(commands_of(plot.figure():line(tensor{10, 20, 30}, tensor{{1}, {4}, {9}}, {label = "y"})), expected)
      has(commands_of(plot.figure():scatter(tensor{{10, 1}, {20, 4}, {30, 9}})), expected)
      has(commands_of(plot.figure():line{5, 6}), "1 5\n2 6")
    end)

    it("draws a gap where a number is not finite, or has no place on a log axis", function()
      has(commands_of(plot.figure():line{1, NAN, math.huge, 4}), "1 1\n\n4 4")
      has(commands_of(plot.figure{yscale = "log"}:line{1, 0, -2, 4}), "1 1\n\n4 4")
      lacks(commands_of(plot.figure():scatter({{1, 2}, {NAN, 3}})), "nan")
    end)

    it("keeps a long curve's extremes and gaps, and drops the rest", function()
      local y = {}
      for i = 1, 100000 do y[i] = math.sin(i / 1000) end
      y[31234], y[51234], y[71234] = 100, -100, NAN
      local commands = commands_of(plot.figure():line(y))
      has(commands, "\n31234 100\n")
      has(commands, "\n51234 -100\n")
      has(commands, "\n\n")
      assert.is_true(#commands < 200000)
      commands = commands_of(plot.figure{xscale = "log"}:line(y)) -- where the first points are far apart
      for i = 1, 150 do has(commands, ("\n%d %.10g\n"):format(i, y[i])) end
      has(commands, "\n51234 -100\n")
      has(commands, ("\n100000 %.10g\n"):format(y[100000]))
      assert.is_true(#commands < 200000)
    end)

    it("gives each class its colour and mark, in the order of the labels' values", function()
      local commands = commands_of(plot.figure():scatter({{1, 2}, {3, 4}, {5, 6}},
        {class = tensor{7, 3, 7}, labels = {"three", "seven"}}))
      has(commands, "\n3 4\n")
      has(commands, "\n1 2\n5 6\n")
      assert.is_true(commands:find("'three'", 1, true) < commands:find("'seven'", 1, true))
      has(commands, "#0072b2")
      has(commands, "#d55e00")
    end)

    it("puts the first row of a picture on top and of a function at ymin", function()
      has(commands_of(plot.figure():image{{1, 2}, {3, 4}}), "set yrange [2.5:0.5]")
      has(commands_of(plot.figure():image({{1, 2}, {3, 4}}, {extent = {0, 4, 0, 8}})), "2 1 3\n2 1 2\n6 3 4")
    end)

    it("puts the legend where no curve is", function()
      local rising, falling = {}, {}
      for i = 1, 50 do rising[i], falling[i] = i, -i end
      has(commands_of(plot.figure():line(falling, {label = "a"})), "set key inside top right")
      has(commands_of(plot.figure():line(rising, {label = "a"})), "set key inside top left")
      has(commands_of(plot.figure():line(rising, {label = "a"}):line(falling, {label = "b"})), "set key")
      has(commands_of(plot.figure{legend = false}:line(rising, {label = "a"})), "unset key")
    end)

    it("marks enough of a narrow log axis", function()
      has(commands_of(plot.figure{yscale = "log"}:line{0.15, 0.9}), "set ytics (0.2, 0.3, 0.4")
      has(commands_of(plot.figure{yscale = "log"}:line{2, 3}), "set ytics (2, 2.5, 3)")
      lacks(commands_of(plot.figure{yscale = "log"}:line{1e-4, 1e4}), "set ytics")
    end)

    it("marks no more of a log axis than have room: powers of ten, else every second place or third", function()
      local function marks(from, to, width)
        local commands = commands_of(plot.figure{xscale = "log", width = width}:line({from, to}, {1, 2}))
        return commands:match("set xtics (%b())")
      end
      assert.equal("(5e-06, 1e-05, 2e-05, 5e-05, 0.0001, 0.0002, 0.0005, 0.001, 0.002)", marks(3e-6, 2e-3, 640))
      assert.is_nil(marks(3e-6, 2e-3, 400)) -- gnuplot's own: 1e-05, 0.0001, 0.001
      assert.equal("(0.0002, 0.0003, 0.0004, 0.0005, 0.0006, 0.0007)", marks(2e-4, 7e-4, 480))
      assert.equal("(0.0002, 0.0004, 0.0006)", marks(2e-4, 7e-4, 360))
    end)

    it("marks no more powers of ten than have room", function()
      local wide = {xscale = "log", yscale = "log", width = 480}
      local commands = commands_of(plot.figure(wide):line({1e-3, 1e5}, {1, 2}))
      has(commands, "set xtics (0.01, 1, 100, 10000)")
      wide.width = 1000
      lacks(commands_of(plot.figure(wide):line({1e-3, 1e5}, {1, 2})), "set xtics (")
      wide.height = 200
      has(commands_of(plot.figure(wide):line({1, 2}, {1e-3, 1e5})), "set ytics (0.01, 1, 100, 10000)")
    end)
  end)

  it("draws strange data without a complaint", function()
    local paths = {file("picture.svg"), file("picture.png"), file("picture.txt")}
    for _, y in ipairs{{1}, {NAN}, {5, 5, 5}, {8e307, -8e307}, {1e-299, 2e-299}, {1e16, 1e16 + 2},
      {math.maxinteger, math.mininteger}, {-1, 0}} do
      plot.figure{title = "y"}:line(y, {label = "y", marker = "square"}):scatter(y, y):save(paths)
      plot.figure{xscale = "log", yscale = "log"}:line(y, {label = "y"}):save(paths)
    end
    for _, m in ipairs{{{1}}, {{1, 2, 3}}, {{1}, {2}}, {{NAN, NAN}, {NAN, NAN}}, {{3, 3}, {3, 3}},
      {{1, math.huge}}} do
      plot.figure():image(m, {colorbar = "value"}):save(paths)
    end
    plot.figure():save(paths)
    plot.figure():contour({{1, 2}, {3, 4}}, {label = "nowhere"}):save(paths)
  end)

  it("says when nothing can be drawn", function()
    local said
    local say = internal.say
    internal.say = function(text) said = text end
    local function saying(picture)
      said = nil
      local ok, message = pcall(commands_of, picture)
      assert(ok, message)
      return said
    end
    local function log(values) return plot.figure{yscale = "log", title = "t"}:line(values) end
    local heard = {saying(log{-1, -2}), saying(plot.figure():scatter({{NAN, 1}})),
      saying(plot.page{log{1, 2}, log{0, 0}}), saying(plot.figure():image{{NAN}}),
      saying(plot.figure{xlim = {5, 6}}:line{1, 2})}
    local quiet = {saying(log{-1, 2}), saying(plot.figure():line{1, NAN}), saying(plot.figure()),
      saying(plot.figure{xlim = {1.4, 1.5}}:line{1, 2}), saying(plot.figure():text(1, 1, "x"))}
    internal.say = say
    local parts = {{"the figure 't'", ", above 0 on the log axis y"}, {"the figure", ""},
      {"panel 2 't'", ", above 0 on the log axis y"}, {"the figure", ""}, {"the figure", ", within xlim"}}
    for i, part in ipairs(parts) do
      assert.are.equal(("plot.save: nothing of %s can be drawn (expected numbers that are finite%s)\n"):format(part[1],
        part[2]), heard[i])
    end
    assert.are.same({}, quiet)
  end)

  it("tells an SVG's readers its title, and what there is to see", function()
    plot.figure{title = "a < b", doc = "a & b"}:line{1, 2}:save(file("picture.svg"))
    has(content("picture.svg"), "<title>a &lt; b</title>\n<desc>a &amp; b</desc>\n")
    assert.is_nil((xml(content("picture.svg"))))
    plot.page{plot.figure{title = "one"}:line{1, 2}, plot.figure{xlabel = "x", ylabel = "y"}:line{1, 2}}
      :save(file("picture.svg"))
    has(content("picture.svg"), "<title>one; y against x</title>\n")
    lacks(content("picture.svg"), "<desc>")
  end)

  it("draws eight lines of which none is faint", function()
    local figure = plot.figure()
    for i = 1, 8 do figure:line{i, i + 1} end
    local seen = {}
    for red, green, blue in commands_of(figure):gmatch "with lines lc rgb '#(%x%x)(%x%x)(%x%x)'" do
      local function linear(hex)
        local v = tonumber(hex, 16) / 255
        return v <= 0.04045 and v / 12.92 or ((v + 0.055) / 1.055) ^ 2.4
      end
      local luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
      assert.is_true(1.05 / (luminance + 0.05) > 2, red .. green .. blue) -- the contrast to white (WCAG)
      seen[red .. green .. blue] = true
    end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.are.equal(8, count)
  end)

  describe("errors", function()
    it("begin with the script's position", function()
      local position = "^[^:]*plot_spec.lua:%d+: plot."
      assert.is_truthy(message_of(function() plot.figure{titel = "x"} end):find(position .. "figure: "))
      assert.is_truthy(message_of(function() plot.figure():line{}:save("a.svg") end):find(position .. "line: "))
    end)

    it("name an unknown option and list the known ones", function()
      has(message_of(plot.figure, {titel = "x"}), "plot.figure: unknown option titel (known: aspect, axes, doc, grid")
      local f = plot.figure()
      has(message_of(f.scatter, f, {{1, 2}}, {colour = "red"}), "plot.scatter: unknown option colour (known: class,")
      has(message_of(f.save, f, file("a.png"), {dpi = 3}), "plot.save: unknown option dpi (known: scale)")
    end)

    it("name wrong shapes and values, and leave the figure as it was", function()
      local f = plot.figure()
      local cases = {
        {"line", {{}}, "plot.line: y is empty"},
        {"line", {5}, "plot.line: y must be a tensor or a list of numbers, got 5"},
        {"line", {}, "plot.line: y must be a tensor or a list of numbers, got nil"},
        {"line", {{1, "a"}}, "plot.line: y[2] must be a number, got 'a'"},
        {"line", {{1, 2}, {1}}, "plot.line: x has 2 numbers but y has 1"},
        {"line", {{{1, 2}, {3, 4}}}, "plot.line: y has more than one dimension"},
        {"line", {{1}, {width = -1}}, "plot.line: width is -1 (expected a number above 0, at most 1000)"},
        {"scatter", {{{1, 2, 3}}}, "plot.scatter: the points are 1x3"},
        {"scatter", {{{1, 2}}, {class = {1, 2}}}, "plot.scatter: 1 points but 2 classes"},
        {"scatter", {{{1, 2}}, {class = {NAN}}}, "plot.scatter: class[1] is NaN"},
        {"scatter", {{{1, 2}, {3, 4}}, {class = {1, 2}, labels = {"a"}}}, "plot.scatter: 2 classes but 1 labels"},
        {"image", {{{1, 2}, {3}}}, "plot.image: row 2 of the matrix has 1 numbers (expected 2)"},
        {"image", {{1, 2}}, "plot.image: the matrix has one dimension"},
        {"image", {{{1}}, {extent = {1, 0, 0, 1}}}, "plot.image: extent is {1, 0, 0, 1} (expected {xmin,"},
        {"contour", {{{1}}}, "plot.contour: the matrix is 1x1 (expected at least 2x2)"},
      }
      for _, case in ipairs(cases) do
        has(message_of(f[case[1]], f, table.unpack(case[2])), case[3])
        assert.are.equal(0, #f.layers)
      end
      has(message_of(f.line, {1, 2}), "plot.line: called with {1, 2} (expected figure:line(...))")
      has(message_of(plot.figure, {xscale = "log", xlim = {-1, 1}}), "plot.figure: xlim is {-1, 1} on a log axis")
    end)

    it("name files that cannot be made", function()
      local f = plot.figure():line{1, 2}
      has(message_of(f.save, f, "a.jpg"), "plot.save: 'a.jpg' has no known extension (known: .pdf, .png, .svg, .txt)")
      has(message_of(f.save, f, "a"), "plot.save: 'a' has no known extension")
      has(message_of(f.save, f, {}), "plot.save: path must be a file name or a list of them, got a table")
      has(message_of(f.save, f, "a\0.svg"), "plot.save: path 1 must be a file name, got 'a?.svg'")
      has(message_of(f.save, f, "/dev/null/a.svg"), "plot.save: cannot make the folder '/dev/null': Not a directory")
      has(message_of(f.save, f, file("a.png"), {scale = 1000}), "larger than 100 million pixels")
    end)

    it("say how to get gnuplot, and what gnuplot said", function()
      local run_all = process.run_all
      local f = plot.figure():line{1, 2}
      process.run_all = function(jobs)
        for _, job in ipairs(jobs) do job.argv[1] = "gnuplot-that-is-not-installed" end
        return run_all(jobs)
      end
      local missing = message_of(f.save, f, file("unmade.svg"))
      process.run_all = function(jobs)
        jobs[1].input = "set terminal svg\nplot nothing(x)\n"
        return run_all(jobs)
      end
      local failed = message_of(f.save, f, file("unmade.svg"))
      process.run_all = run_all
      has(missing, "plot: gnuplot is not installed (on Debian: apt install gnuplot-nox)")
      has(failed, "plot.save: gnuplot failed: undefined function: nothing")
      assert.is_false(exists("unmade.svg"))
    end)
  end)
end)
