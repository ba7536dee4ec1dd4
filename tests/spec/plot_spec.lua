-- peri.plot: what is checked, what gnuplot is told, and that no text or file name ever becomes a command.
local peri = require "perilune"
local plot, process = peri.plot, require "support.internal".process
local xml = require "support.xml"
local message_of = require("support.fails").message

local NAN = 0 / 0
local folder

local function file(name) return folder .. "/" .. name end

local function content(name)
  local f = assert(io.open(file(name), "rb"))
  local bytes = f:read("a")
  f:close()
  return bytes
end

local function exists(name)
  local f = io.open(file(name))
  if f then f:close() end
  return f ~= nil
end

-- What a tensor is to plot: anything with totable.
local function tensor(values) return {totable = function() return values end} end

local function parabola(points)
  local values = {}
  for i, row in ipairs(points:totable()) do values[i] = row[1] ^ 2 + row[2] ^ 2 - 1 end
  return values
end

-- The commands that gnuplot is given for a picture; it is not run.
local function commands_of(picture, name)
  local run_all, seen = process.run_all, nil
  process.run_all = function(jobs)
    seen = jobs
    return {{status = 0, stdout = "picture", stderr = ""}}
  end
  local ok, message = pcall(picture.save, picture, file(name or "picture.png"))
  process.run_all = run_all
  if not ok then error(message, 0) end
  return seen[1].input, seen[1].argv
end

local function has(text, part) assert.is_truthy(text:find(part, 1, true), ("no '%s' in: %s"):format(part, text)) end

local function lacks(text, part) assert.is_nil(text:find(part, 1, true)) end

describe("plot", function()
  local cleanup = {}

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(process.mkdir(folder))
  end)

  local function made(...)
    for _, name in ipairs{...} do cleanup[#cleanup + 1] = file(name) end
    return ...
  end

  teardown(function()
    made("picture.png", "picture.svg", "picture.txt", "picture.pdf")
    for _, path in ipairs(cleanup) do os.remove(path) end
    os.remove(folder)
  end)

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
      local commands, argv = commands_of(plot.figure():line{1, 2}, "secret-name.png")
      made("secret-name.png")
      assert.are.same({"gnuplot", "-d", "/dev/stdin"}, argv)
      lacks(commands, "secret-name")
      lacks(commands, folder)
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

  describe("contours", function()
    -- The circle of radius 1 around the origin, and the rows of the block that draws it.
    local function lines_of(n, options)
      local z = {}
      for i = 1, n do
        z[i] = {}
        for j = 1, n do
          local x, y = -2 + (j - 0.5) * 4 / n, -2 + (i - 0.5) * 4 / n
          z[i][j] = x * x + y * y - 1
        end
      end
      options.extent = {-2, 2, -2, 2}
      local block = commands_of(plot.figure():contour(z, options)):match("<< end_of_data\n(.-)end_of_data")
      local lines = {{}}
      for row in block:gmatch("([^\n]*)\n") do
        local x, y = row:match("(%S+) (%S+)")
        if x then
          table.insert(lines[#lines], {tonumber(x), tonumber(y)})
        elseif #lines[#lines] > 0 then
          lines[#lines + 1] = {}
        end
      end
      if #lines[#lines] == 0 then lines[#lines] = nil end
      return lines
    end

    it("follow a level as one closed line", function()
      local lines = lines_of(80, {})
      assert.are.equal(1, #lines)
      assert.are.same(lines[1][1], lines[1][#lines[1]])
      for _, point in ipairs(lines[1]) do
        assert.is_true(math.abs(math.sqrt(point[1] ^ 2 + point[2] ^ 2) - 1) < 1e-3)
      end
    end)

    it("have one line for each level, and open ones at the edge", function()
      assert.are.equal(2, #lines_of(80, {levels = {-0.5, 1}}))
      assert.are.equal(4, #lines_of(80, {levels = {4}}))
    end)

    it("leave out cells without a value", function()
      local commands = commands_of(plot.figure():contour{{-1, -1, -1, -1}, {1, NAN, 1, 1}})
      has(commands, "\n4 1.5\n")
      lacks(commands:lower(), "nan")
    end)
  end)

  describe("regions", function()
    local square = {-2, 2, -2, 2}

    it("of a decision function have a boundary and margins", function()
      local commands = commands_of(plot.figure():regions{
        predict = parabola, extent = square, kind = "decision", resolution = 40,
        label = "f = 0", margin_label = "margin",
      })
      has(commands, "'f = 0'")
      has(commands, "'margin'")
      has(commands, "with image")
      lacks(commands_of(plot.figure():regions{
        predict = parabola, extent = square, kind = "decision", resolution = 40, margins = false,
      }), "(8,5)")
    end)

    it("of probabilities are white at one half", function()
      local commands = commands_of(plot.figure():regions{
        predict = function(points)
          local values = parabola(points)
          for i, v in ipairs(values) do values[i] = {1 - 1 / (1 + math.exp(-v)), 1 / (1 + math.exp(-v))} end
          return tensor(values)
        end,
        extent = square, kind = "probability", resolution = 30,
      })
      has(commands, "0.5 '#ffffff'")
      has(commands, "set cblabel 'probability of class 2'")
    end)

    it("of several classes take labels or probabilities", function()
      local function label(points)
        local values = {}
        for i, row in ipairs(points:totable()) do values[i] = row[1] < 0 and 4 or row[2] < 0 and 5 or 9 end
        return values
      end
      local function probabilities(points)
        local values = label(points)
        local function share(v, class) return v == class and 0.8 or 0.1 end
        for i, v in ipairs(values) do values[i] = {share(v, 4), share(v, 5), share(v, 9)} end
        return values
      end
      for _, kind in ipairs{"class", "probability"} do
        local predict = kind == "class" and label or probabilities
        local figure = plot.figure():regions{predict = predict, extent = square, kind = kind, resolution = 20}
        has(commands_of(figure), "set cbrange [0:3]")
        figure:save(file("picture.svg"))
      end
    end)

    it("reach around the points that are there", function()
      local figure = plot.figure():scatter{{0, 0}, {10, 5}}
      has(commands_of(figure:regions{predict = parabola, kind = "decision", resolution = 10}), "set xrange [-0.8:10.8]")
    end)

    it("say what predict did wrong", function()
      local function try(predict, kind)
        return message_of(function()
          plot.figure():regions{predict = predict, extent = square, kind = kind, resolution = 10}
        end)
      end
      has(try(function() return {1, 2} end), "plot.regions: predict gave 2 rows for 100 points")
      has(try(parabola, "probability"), "expects numbers from 0 to 1")
      has(try(parabola, "class"), "kind 'decision' is for signed values")
      has(try(function() error("boom") end), "boom")
      has(message_of(function() plot.figure():regions{predict = parabola} end), "extent is missing")
    end)
  end)

  describe("bars", function()
    it("stand on 0, and beside those that were there", function()
      local f = plot.figure():bars({"a", "b"}, {3, 5}, {label = "first"})
      has(commands_of(f), "1 3 0.6 1.4 0 3\n2 5 1.6 2.4 0 5")
      has(commands_of(f), "set yrange [0:5.25]")
      has(commands_of(f), "set xtics  ('a' 1, 'b' 2)")
      f:bars({"a", "b"}, {-1, 2}, {label = "second", values = "%.1f"})
      local commands = commands_of(f)
      has(commands, "0.8 3 0.616 0.984 0 3")
      has(commands, "1.2 -1 1.016 1.384 -1 0")
      has(commands, "set label '-1.0' at 1.2, -1 center")
      has(message_of(f.bars, f, {"a", "c"}, {1, 2}), "plot.bars: the names differ from those of the bars before")
      has(message_of(f.bars, f, {"a", "c"}, {1, 2, 3}), "plot.bars: 2 names but 3 heights")
      has(message_of(f.bars, f, {1, 2}, {values = "%s"}), "plot.bars: values is '%s' (expected a format of one number")
      has(commands_of(plot.figure{yscale = "log"}:bars{10, 1000}), "\n2 1000 1.6 2.4 7.9432823")
    end)

    it("break names between words, or lean", function()
      local words = [['with many' . "\n" . 'words' 1]]
      has(commands_of(plot.figure{width = 400}:bars({"with many words", "b", "c"}, {1, 2, 3})), words)
      local long = ("x"):rep(30)
      has(commands_of(plot.figure{width = 400}:bars({long, "b", "c"}, {1, 2, 3})), "set xtics rotate by 35 right ('xx")
    end)

    it("keep every value, in equal bins or in those that were asked for", function()
      local values = {0, 1, 1, 2, 3, 4, 4, 4}
      local four = "0.5 1 0 1 0 1\n1.5 2 1 2 0 2\n2.5 1 2 3 0 1\n3.5 4 3 4 0 4"
      has(commands_of(plot.figure():histogram(values, {bins = 4})), four)
      has(commands_of(plot.figure():histogram(values, {bins = {0, 2, 4}, density = true})), "1 0.1875 0 2 0 0.1875")
      has(commands_of(plot.figure():histogram(values, {bins = 1, range = {1, 3}})), "2 4 1 3 0 4")
      has(commands_of(plot.figure():histogram{5, 5, NAN}), "2 ")
      local many = {}
      for i = 1, 1000 do many[i] = i end
      local layer = plot.figure():histogram(many).layers[1]
      local sum = 0
      for _, count in ipairs(layer.counts) do sum = sum + count end
      assert.are.equal(1000, sum)
      assert.are.same({11, 12}, {#layer.counts, #layer.edges})
      local f = plot.figure()
      has(message_of(f.histogram, f, {NAN}), "plot.histogram: there is no finite value")
      has(message_of(f.histogram, f, {1}, {bins = {2, 2}}), "the edges in bins do not ascend at 2")
    end)

    it("have bands beside them, under the lines and in the line's colour", function()
      local f = plot.figure():line({1, 2, 3}, {label = "a"}):line({2, 3, 4}, {label = "b"}):band({1, 2, 3}, {3, NAN, 5})
      local commands = commands_of(f)
      has(commands, "1 1 3\n\n3 3 5")
      has(commands, "plot $d3 with filledcurves fs transparent solid 0.25 noborder lc rgb '#d55e00' notitle, $d1")
      has(commands_of(plot.figure{yscale = "log"}:band({-1, 1}, {2, 2})), "1 0.9659363289 2\n2 1 2")
      has(message_of(f.band, f, {1, 2}, {1}), "plot.band: x has 2 numbers, low 2 and high 1")
      has(message_of(f.band, f, {1, 2}), "plot.band: high is nil")
    end)
  end)

  it("leaves room for names of several lines, above the axis label and the legend", function()
    local names = {"a name of so many words that it takes three lines", "b", "c", "d"}
    local commands = commands_of(plot.figure{xlabel = "x"}:bars(names, {1, 2, 3, 4}))
    has(commands, "set xlabel 'x' offset 0,-2")
    has(commands, "set bmargin 6.1")
    has(commands_of(plot.figure{legend = "below"}:bars(names, {1, 2, 3, 4}, {label = "l"})), "set bmargin 5.65")
    lacks(commands_of(plot.figure{xlabel = "x"}:bars({"a", "b", "c", "d"}, {1, 2, 3, 4})), "bmargin")
  end)

  describe("cells", function()
    it("of a heat map have names, and numbers that can be read on their colour", function()
      local f = plot.figure():heatmap({{0, 9}, {1, NAN}}, {rows = {"a", "b"}, columns = {"c", "d"}, values = "%d"})
      local commands = commands_of(f)
      has(commands, "set xtics  ('c' 1, 'd' 2)")
      has(commands, "set ytics  ('a' 1, 'b' 2)")
      assert.is_truthy(commands:find("set label '0' at 1, 1 center front font ',%d+' textcolor rgb '#000000'"))
      assert.is_truthy(commands:find("set label '9' at 2, 1 center front font ',%d+' textcolor rgb '#ffffff'"))
      assert.are.equal(3, select(2, commands:gsub("set label", "")))
      f = plot.figure()
      local message = message_of(f.heatmap, f, {{1, 2}}, {rows = {"a", "b"}})
      has(message, "plot.heatmap: rows has 2 names but the matrix has 1")
      assert.are.equal(0, #f.layers)
    end)

    it("of images lie side by side, with captions", function()
      local f = plot.figure():images({{1, 2, 3, 4}, {5, 6, 7, 8}}, {columns = 2, labels = {"one", "two"}})
      local layer = f.layers[1]
      assert.are.equal(5, layer.columns)
      assert.are.equal(4, #layer.rows)
      assert.are.same({1, 2}, {layer.rows[3][1], layer.rows[3][2]})
      assert.are.same({7, 8}, {layer.rows[4][4], layer.rows[4][5]})
      assert.is_true(layer.rows[1][1] ~= layer.rows[1][1])
      has(commands_of(f), "set label 'two' at 4.5, 1.5 center")
      has(commands_of(f), "unset border")
      assert.are.equal(3, #plot.figure():images({{1, 2, 3, 4, 5, 6}}, {width = 2}).layers[1].rows)
      f = plot.figure()
      has(message_of(f.images, f, {{1, 2, 3}}), "plot.images: image 1 has 3 pixels, which is no square (see width)")
      has(message_of(f.images, f, {{1}, {1, 2, 3, 4}}), "plot.images: image 2 is 4x1 but image 1 is 1x1")
      has(message_of(f.images, f, {{1}}, {labels = {"a", "b"}}), "plot.images: 1 images but 2 labels")
    end)

    it("are shown as letters and numbers in the terminal", function()
      local line, real = nil, print
      _G.print = function(text) line = text end
      local ok, message = pcall(function()
        plot.figure{title = "c"}:heatmap({{50, 2}, {3, 45}}, {rows = {"cat", "dog"}, values = "%d"}):show()
      end)
      _G.print = real
      assert(ok, message)
      local head = (" "):rep(21) .. "1" .. (" "):rep(9) .. "2"
      assert.are.equal("c\n" .. head .. "\ncat                 50         2\ndog                  3        45", line)
    end)

    it("leave room for words", function()
      local f = plot.figure():line{1, 2}:text(1.5, 1.5, "here", {align = "center"})
      has(commands_of(f), "set label 'here' at 1.5, 1.5 center")
      has(message_of(f.text, f, 1, NAN, "x"), "plot.text: the place is 1, ")
      has(message_of(f.text, f, 1, 2), "plot.text: the words are nil (expected a string)")
    end)
  end)

  it("draws pages of several panels", function()
    local figure = plot.figure{title = "panel"}:line{1, 2}
    local page = plot.page{title = "page", figure, figure, figure}
    has(commands_of(page), "set multiplot  title 'page'")
    page:save{file("picture.svg"), file("picture.png")}
    has(content("picture.svg"), "<text>page</text>")
    has(message_of(plot.page, {}), "plot.page: there are no panels")
    has(message_of(plot.page, {figure, 3}), "plot.page: panel 2 is 3")
    has(message_of(plot.page, {figure, figure, rows = 1, cols = 1}), "plot.page: 2 figures do not fit")
  end)

  describe("panels of a page", function()
    -- Where the plots of a page are, in pixels: {left, right, bottom, top} of each.
    local function places(page)
      local list = {}
      local pattern = "set lmargin at screen (N)\nset rmargin at screen (N)\n"
        .. "set bmargin at screen (N)\nset tmargin at screen (N)\n"
      for l, r, b, t in commands_of(page):gmatch((pattern:gsub("N", "[%%d.e-]+"))) do
        list[#list + 1] = {l * page.width, r * page.width, b * page.height, t * page.height}
      end
      return list
    end

    local function sizes(page)
      local list = {}
      for i, place in ipairs(places(page)) do
        list[i] = ("%.0fx%.0f"):format(place[2] - place[1], place[4] - place[3])
      end
      return list
    end

    local function curve(label, options) return plot.figure(options):line({1, 2, 3}, {label = label}) end

    local function keys(page) return select(2, commands_of(page):gsub("set key ", "")) end

    it("are of one size and in line, whatever stands around them", function()
      local long = curve("a", {title = "a title of many words that needs more than one line in its panel",
        legend = "below", xlabel = "x", ylabel = "y"})
      long:line({3, 1, 2}, {label = "another"}):line({1e5, 2e5, 3e5}, {label = "large"})
      local image = plot.figure{aspect = "auto"}:image({{1, 2}, {3, 4}}, {colorbar = "value"})
      local bars = plot.figure():bars({"one", "two"}, {1, 2})
      local page = plot.page{curve("b"), long, image, bars, cols = 2, legend = "each"}
      local list, all = places(page), sizes(page)
      assert.are.equal(4, #list)
      for i = 2, 4 do assert.are.equal(all[1], all[i]) end
      for _, pair in ipairs{{1, 3}, {2, 4}} do -- a column
        assert.near(list[pair[1]][1], list[pair[2]][1], 0.1)
        assert.near(list[pair[1]][2], list[pair[2]][2], 0.1)
      end
      for _, pair in ipairs{{1, 2}, {3, 4}} do -- a row
        assert.near(list[pair[1]][3], list[pair[2]][3], 0.1)
        assert.near(list[pair[1]][4], list[pair[2]][4], 0.1)
      end
      assert.is_true(list[1][2] < list[2][1] and list[3][4] < list[1][3])
      for _, place in ipairs(list) do
        assert.is_true(place[1] > 0 and place[2] < page.width and place[3] > 0 and place[4] < page.height)
      end
    end)

    it("keep the shape of equal units, in the middle of their place", function()
      local square = plot.figure{aspect = "equal", legend = false}:scatter{{0, 0}, {2, 1}}
      local page = plot.page{square, curve("b"), width = 1000, height = 400}
      local list = places(page)
      assert.near(2, (list[1][2] - list[1][1]) / (list[1][4] - list[1][3]), 0.01)
      assert.near(list[2][3] + list[2][4], list[1][3] + list[1][4], 0.1)
      lacks(commands_of(page), "size ratio")
      assert.are.same({}, places(plot.page{square, width = 60, height = 60})) -- no room: as gnuplot puts it
    end)

    it("have one legend where each would say the same, or where it is asked for", function()
      local function both() return curve("a"), curve("a") end
      local page = plot.page{both()}
      assert.are.equal(1, keys(page))
      has(commands_of(page), "plot NaN with lines lc rgb '#0072b2' lw 2 dt 1 title 'a'\nunset multiplot")
      assert.are.equal(2, keys(plot.page{legend = "each", both()}))
      local different = {curve("a"), curve("a"):line({2, 1, 0}, {label = "b"}), curve("c")}
      assert.are.equal(3, keys(plot.page(different)))
      different.legend = "below"
      local commands = commands_of(plot.page(different))
      assert.are.equal(1, select(2, commands:gsub("set key at screen", "")))
      for _, title in ipairs{"'a'", "'b'", "'c'"} do has(commands:match "plot ([^\n]*)\nunset multiplot", title) end
      local red = plot.figure():line({1, 2}, {label = "a", color = "red"}) -- the same word for another thing
      assert.are.equal(2, keys(plot.page{curve("a"), red}))
      assert.are.equal(2, keys(plot.page{curve("a", {legend = "top left"}), curve("a")}))
      assert.are.equal(0, keys(plot.page{curve("a", {legend = false}), curve("a", {legend = false}), legend = "below"}))
      local kinds = plot.figure():bars({"x"}, {1}, {label = "bars"}):band({1, 2}, {2, 3}, {label = "band"})
      kinds:scatter({{1, 2}}, {class = {1}, labels = {"it's a title 'x' "}}):histogram({1, 2}, {label = "histogram"})
      plot.page{kinds, kinds}:save{file("picture.svg"), file("picture.png")}
      for _, label in ipairs{"bars", "band", "histogram", "it's a title 'x'"} do
        assert.are.equal(1, select(2, content("picture.svg"):gsub("<text>" .. label:gsub("%p", "%%%0"), "")), label)
      end
    end)

    it("have the same limits where they share an axis", function()
      local low, high = plot.figure():line({1, 2}, {0, 1}), plot.figure():line({5, 6}, {10, 20})
      local commands = commands_of(plot.page{low, high, share = "y"})
      assert.are.equal(2, select(2, commands:gsub("set yrange %[%-0.05:20.5%]", "")))
      assert.are.equal(1, select(2, commands:gsub("set xrange %[0.985:2.015%]", "")))
      commands = commands_of(plot.page{low, high, share = "both"})
      assert.are.equal(2, select(2, commands:gsub("set xrange %[0.985:6.015%]", "")))
      local upside = plot.figure{ylim = {30, -1}}:line{1, 2}
      has(commands_of(plot.page{low, upside, share = "y"}), "set yrange [30:-1]")
      local log = plot.figure{yscale = "log"}:line{1, 2}
      has(message_of(commands_of, plot.page{low, log, share = "y"}), "plot.page: share has y but yscale of panel 2")
      has(message_of(plot.page, {low, share = "z"}), "plot.page: share is 'z' (expected one of both, x, y)")
    end)
  end)

  describe("marks of an axis", function()
    it("are those that were asked for", function()
      has(commands_of(plot.figure{xticks = {1, 2.5}}:line{1, 2, 3}), "set xtics (1, 2.5)")
      has(commands_of(plot.figure{yticks = {12345678.5}}:line{1e7, 2e7}), "set ytics (12345678.5)")
      has(commands_of(plot.figure{yticks = {{1, "un"}, {2, "50 %"}, 3}}:line{1, 2, 3}),
        "set ytics  ('un' 1, '50 %%' 2, '3' 3)")
      has(commands_of(plot.figure{yticks = false}:line{1, 2, 3}), "unset ytics")
      has(commands_of(plot.figure{xticks = tensor{1, 2}}:bars({"a", "b"}, {1, 2})), "set xtics (1, 2)")
      local expected = "plot.figure: xticks is a table (expected false or a list, each a number or {number, name})"
      for _, wrong in ipairs{{}, {"a"}, {{1, 2, 3}}, {{"a", 1}}, {NAN}} do
        has(message_of(plot.figure, {xticks = wrong}), "plot.figure: xticks is ")
      end
      has(message_of(plot.figure, {xticks = {}}), expected)
      has(message_of(plot.figure, {xscale = "log", xticks = {1, {0, "none"}}}),
        "plot.figure: xticks[2] is 0 on a log axis (expected a positive number)")
    end)

    it("have names in the terminal that stand apart", function()
      local names = {"averyverylongname", "anotherquitelongname", "short", "the_longest_of_all_the_names", "last"}
      plot.figure{width = 480, height = 300}:bars(names, {1, 2, 3, 4, 5}):save(file("picture.txt"))
      local line = content("picture.txt"):match "\n([^\n]*avery[^\n]*)"
      assert.matches("^ +avery%S* +anoth%S* +short +the_%S* +last", line)
    end)

    it("have a row each in the terminal", function()
      local function shown(figure)
        figure:save(file("picture.txt"))
        return content("picture.txt")
      end
      for height = 100, 480, 20 do
        for _, scale in ipairs{"linear", "log"} do
          local figure = plot.figure{width = 400, height = height, yscale = scale}:line{.7037, .66, .6, .5, .45, .3785}
          local marks = 0
          for line in shown(figure):gmatch "[^\n]+" do
            local mark = line:match "^ *([%d.]+) %+"
            if mark then
              marks = marks + 1
              assert.are.equal(("%g"):format(tonumber(mark)), mark) -- "00.7" are two
              assert.is_true(tonumber(mark) >= 0.1 and tonumber(mark) <= 1)
            end
          end
          assert.is_true(marks >= 1, ("%s, %d high: %d marks"):format(scale, height, marks))
        end
      end
    end)
  end)

  it("says when nothing can be drawn", function()
    local said
    local real = io.stderr
    io.stderr = {write = function(_, text) said = text end} -- luacheck: ignore
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
    io.stderr = real -- luacheck: ignore
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

  describe("numbers at the ends of the range", function()
    -- What each kind of layer makes of two values.
    local makers = {
      line = function(f, v) f:line({1, 2}, v) end, along_x = function(f, v) f:line(v, {1, 2}) end,
      scatter = function(f, v) f:scatter(v, v) end, bars = function(f, v) f:bars({"a", "b"}, v) end,
      places = function(f, v) f:bars(v, {1, 2}) end,
      horizontal = function(f, v) f:bars({"a", "b"}, v, {horizontal = true}) end,
      histogram = function(f, v) f:histogram(v) end, density = function(f, v) f:histogram(v, {density = true}) end,
      edges = function(f, v) f:histogram({1, 2}, {bins = v}) end,
      range = function(f, v) f:histogram({1, 2}, {range = v}) end, band = function(f, v) f:band({1, 2}, v, v) end,
      image = function(f, v) f:image{v, v} end, colors = function(f, v) f:image({{1}}, {range = v}) end,
      extent = function(f, v) f:image({{1}}, {extent = {v[1], v[2], v[1], v[2]}}) end,
      heatmap = function(f, v) f:heatmap{v, v} end, images = function(f, v) f:images{{v[1], v[2], v[1], v[2]}} end,
      grid = function(f, v) f:contour({{1, 2}, {3, 4}}, {levels = {2}, extent = {v[1], v[2], v[1], v[2]}}) end,
      regions = function(f, v) f:regions{predict = parabola, extent = {v[1], v[2], v[1], v[2]}} end,
      place = function(f, v) f:text(v[1], v[2], "x") end, log = function(f, v) f.xscale = "log" f:line(v, v) end,
      limits = function(f, v) f.ylim = v f:line{1, 2} end,
      log_limits = function(f, v) f.xscale, f.xlim = "log", {math.abs(v[1]) / 2, v[2]} f:line{1, 2} end,
    }

    it("are drawn, or refused in words of a script", function()
      for name, make in pairs(makers) do
        for _, v in ipairs{{-1.7e308, 1.7e308}, {1, 1.7e308}, {5e-324, 1e-323}} do
          local f = plot.figure()
          local ok, message = pcall(function()
            make(f, v)
            commands_of(f)
          end)
          if ok then -- words at a point have room of their own
            assert.are.same({"place", 5e-324}, {name, v[1]})
          else
            assert.is_truthy(message:find "would go from [^\n]* %(expected " or message:find "expected numbers up to"
              or message:find "expected positive numbers" or message:find "expected {low, high}", message)
          end
        end
        for _, v in ipairs{{-7e307, 7e307}, {1e-290, 1e-200}, {math.mininteger, math.maxinteger}} do
          local f = plot.figure()
          local ok, message = pcall(function()
            make(f, v)
            commands_of(f)
          end)
          if not ok then assert.is_truthy(message:find "expected", name .. ": " .. message) end
        end
      end
    end)

    it("and none at all make a picture with its axes", function()
      local size = #(function()
        plot.figure():line({1, 2}, {0, 1}):save(file("picture.svg"))
        return content("picture.svg")
      end)()
      for _, v in ipairs{{-7e307, 7e307}, {1e-290, 1e-200}, {math.mininteger, math.maxinteger}, {NAN, NAN}, {3, 3}} do
        plot.figure():line({1, 2}, v):save(file("picture.svg"))
        assert.is_true(#content("picture.svg") > 0.7 * size)
      end
      plot.figure():image{{NAN, NAN}}:save(file("picture.svg"))
      plot.figure():contour{{-1.7e308, 1.7e308}, {-1.7e308, 1.7e308}}:save(file("picture.svg"))
      local line = plot.figure():contour{{-1.7e308, 1.7e308}, {-1.7e308, 1.7e308}}.layers[1].lines[1]
      assert.are.same({1.5, 1.5}, line[1])
    end)

    it("in the wrong order are no range", function()
      local f = plot.figure()
      has(message_of(f.histogram, f, {1, 2}, {range = {3, 1}}), "range is {3, 1} (expected {low, high}, ascending)")
      has(message_of(f.image, f, {{1}}, {range = {3, 1}}), "range is {3, 1} (expected {low, high}, ascending)")
      has(message_of(f.line, f, {1, 2}, {width = 1e300}), "width is 1e+300 (expected a positive number up to 1000)")
      has(message_of(plot.figure, {aspect = 1e300}), "plot.figure: aspect is 1e+300 (expected one of")
    end)
  end)

  describe("hostile text", function()
    local function hostile()
      local touch = "touch " .. file("touched")
      return {
        "'; system '" .. touch .. "'", "''; system \"" .. touch .. "\"; ''", "`" .. touch .. "`",
        "it's `" .. touch .. "`", "$(" .. touch .. ")", "x\nsystem '" .. touch .. "'\n",
        "x\r\nsystem '" .. touch .. "'", "\"; system '" .. touch .. "'", "'. system(\"" .. touch .. "\") .'",
        "\\'; system '" .. touch, "\\047; system '" .. touch .. "'", "end_of_data\nsystem '" .. touch .. "'",
        "@PATH %s %n %d %%", "it's @GPVAL_TERM", "\\", "'", "''", "'''", "\"", "#", "",
        "{/Symbol a} a_b^c ~d{e}", "</text><script>alert(1)</script>", "&amp; & &foo;", "\xff\xfe\xc3(", "nul\0nul",
        "\27[31mred \xc2\x9b31m", "\xef\xbf\xbf\xed\xa0\x80", ("'"):rep(400), ("word "):rep(100), "é 漢字 10⁻⁵",
      }
    end

    it("is only text, in every place and format", function()
      local paths = {file("picture.svg"), file("picture.png"), file("picture.pdf"), file("picture.txt")}
      for _, text in ipairs(hostile()) do
        local figure = plot.figure{title = text, xlabel = text, ylabel = text}
          :image({{1, 2}, {3, 4}}, {extent = {1, 2, 1, 2}, colorbar = text})
          :line({1, 2}, {label = text})
          :scatter({{1, 2}, {2, 1}}, {class = {1, 2}, labels = {text, text}})
          :contour({{1, 2}, {3, 4}}, {extent = {1, 2, 1, 2}, levels = {2.5}, label = text})
        local bars = plot.figure{legend = "right"}:bars({text, text}, {1, 2}, {label = text, values = "%g"})
          :histogram({1, 2}, {label = text}):band({1, 2}, {2, 3}, {label = text}):text(1, 1, text)
        local cells = plot.figure():heatmap({{1, 2}}, {rows = {text}, columns = {text, text}, colorbar = text})
        local images = plot.figure():images({{1}, {2}}, {labels = {text, text}})
        plot.page{title = text, figure, bars, cells, images}:save(paths, {scale = 1})
        assert.is_false(exists("touched"))
        local svg = content("picture.svg")
        assert.is_truthy(utf8.len(svg))
        assert.is_nil(svg:find("[\0-\8\11-\31\127]"))
        lacks(svg, "<script")
        assert.is_nil((xml(svg)))
        assert.is_nil(content("picture.txt"):find("[\0-\9\11-\31\127]"))
      end
    end)

    it("appears as it was written", function()
      plot.figure{title = "it's 'a_b^c' {x} `y` @z @GPVAL_TERM %d \\n"}:line{1, 2}:save(file("picture.svg"))
      has(content("picture.svg"), "<text>it's 'a_b^c' {x} `y` @z @GPVAL_TERM %d \\n</text>")
      plot.figure():bars({"50 % it's %d"}, {1}, {values = "%g"}):text(1, 1, "@x %d"):save(file("picture.svg"))
      has(content("picture.svg"), "<text>50 % it's %d</text>")
      has(content("picture.svg"), "<text>@x %d</text>")
    end)

    it("of all characters makes an SVG that every reader takes, and says what was written", function()
      local parts, chunks, n = {}, {}, 0
      local function chunk()
        chunks[#chunks + 1], parts, n = table.concat(parts), {}, 0
      end
      for code = 1, 0xFFFF do
        if code < 0xD800 or code > 0xDFFF then parts[#parts + 1], n = utf8.char(code), n + 1 end
        if n == 250 then chunk() end
      end
      chunk()
      for _, text in ipairs{"a[b[1]]>0", "]]>", "]]]]>>", "--", "<!-- -->", "<![CDATA[ x ]]>", "&#1;", "&#x0;",
        "&#x41;", "&amp;", "&lt;", "<?xml?>", "\\U+0001", "\\001", "\\n", "\u{10FFFF}", "]]&gt;", "'&#x27;'"} do
        chunks[#chunks + 1] = text
      end
      local figures, written = {}, {}
      for i = 1, #chunks, 8 do
        local function text(k) return chunks[(i + k - 1) % #chunks + 1] end
        local figure = plot.figure{title = text(0), xlabel = text(1)}:line({1, 2}, {label = text(2)})
          :image({{1, 2}}, {colorbar = text(3)})
        for k = 4, 7 do figure:text(1, k, text(k)) end
        figures[#figures + 1] = figure
      end
      plot.page(figures):save(file("picture.svg"))
      local wrong, texts = xml(content("picture.svg"))
      assert.is_nil(wrong)
      for _, text in ipairs(texts) do written[text] = true end
      for i = #chunks - 17, #chunks do assert.is_true(written[chunks[i]], chunks[i]) end
    end)

    it("is told apart from XML by the checker", function()
      assert.is_nil((xml '<?xml version="1.0"?>\n<!-- a - b --><a x="1" y=\'&lt;\'><b/>&amp;&#65;</a>\n'))
      for _, wrong in ipairs{"<a>]]></a>", "<a>&#x0;</a>", "<a>&x;</a>", "<a>&</a>", "<a><b></a></b>", "<a>", "<a/>x",
        "<a>\1</a>", "<a>\xff</a>", "<a x='<'/>", "<a x=1/>", "<a x='1' x='2'/>", "<!-- -- --><a/>", "<a><b</a>"} do
        assert.is_string((xml(wrong)), wrong)
      end
    end)

    -- A figure with a layer of each kind, by the name of its method.
    local MADE = {
      line = {{1, 2}, {label = "l", marker = "circle"}}, scatter = {{{1, 2}}, {class = {1}, labels = {"c"}}},
      bars = {{"a", "b"}, {1, 2}, {values = "%g"}}, histogram = {{1, 2, 3}, {label = "l"}},
      band = {{1, 2}, {2, 3}, {label = "l"}}, image = {{{1, 2}}, {colorbar = "c"}}, heatmap = {{{1}}, {rows = {"a"}}},
      images = {{{1}, {2}}, {labels = {"a", "b"}}}, contour = {{{1, 2}, {3, 4}}, {levels = {2.5}}},
      regions = {{predict = parabola, extent = {-1, 1, -1, 1}, kind = "decision"}},
      text = {1, 1, "words"},
    }

    -- The commands without those of the texts that are set.
    local function without_texts(commands)
      for _, name in ipairs{"title", "xlabel", "ylabel"} do
        commands = commands:gsub("set " .. name .. " [^\n]*\n", "")
      end
      return commands
    end

    it("is no command in any field of a figure or of a layer, whatever is done to it", function()
      local evil = "top right\nsystem('touch " .. file("touched") .. "')\n#`touch " .. file("touched") .. "`"
      for name, method in pairs(require "support.internal".classes["plot.figure"]) do
        if name ~= "save" and name ~= "show" then
          local f = plot.figure{title = "t", xlabel = "x", ylabel = "y"}
          method(f, table.unpack((assert(MADE[name], name))))
          local plain = without_texts(commands_of(f))
          local known = message_of(function() f.nonsense = 1 end):match "known: (.*)%)"
          for option in known:gmatch "%a+" do
            local taken = pcall(function() f[option] = evil end)
            assert.is_true(not taken or option == "doc" or option:find "title" ~= nil or option:find "label" ~= nil,
              option)
            rawset(f, option, evil)
          end
          for _, layer in ipairs(f.layers) do
            for _, field in ipairs{"color", "width", "style", "marker", "size", "label", "xs", "ys", "kind", "stops",
              "low", "high", "extent", "values", "align", "words", "x", "y", "labels", "boxes", "groups", "palette"} do
              has(message_of(function() layer[field] = evil end), "the layers of a figure cannot be changed")
              rawset(layer, field, evil)
            end
            for _, list in ipairs{"xs", "ys", "rows", "stops", "extent", "heights", "names", "ticks"} do
              if type(layer[list]) == "table" then layer[list][1] = evil end
            end
          end
          table.insert(f.layers, {kind = {draw = function() error "called" end}, labels = {evil}})
          rawset(f, "layers", {{kind = "line", labels = {evil}}})
          assert.are.equal(plain, without_texts(commands_of(f)))
          f:save(file("picture.svg"))
          assert.is_false(exists("touched"))
        end
      end
    end)

    it("that is no option leaves a figure as it was; options are set as when it was made", function()
      local f = plot.figure{title = "t"}:line{1, 2}
      f.title, f.legend, f.xlim, f.width = "other", false, {0, 3}, 700
      assert.are.same({"other", false, {0, 3}, 700, 480}, {f.title, f.legend, f.xlim, f.width, f.height})
      f.width = nil
      assert.are.equal(640, f.width)
      has(message_of(function() f.width = 1 end), "plot.figure: width is 1 (expected a whole number from 50 to 10000)")
      has(message_of(function() f.colour = "red" end), "plot: a figure has no option 'colour' (known: aspect, axes,")
      has(message_of(function() f[1] = "red" end), "plot: a figure has no option 1 (known: aspect, axes,")
      f.xlim, f.yscale = nil, "log"
      has(message_of(function() f.ylim = {-1, 1} end), "plot.figure: ylim is {-1, 1} on a log axis")
      assert.is_nil(f.ylim)
      f = plot.figure():image{{1}}
      has(message_of(function() f.xscale = "log" end), "plot.figure: xscale is 'log' but there is an image")
      local page = plot.page{f, f, title = "p"}
      page.title = "q"
      has(message_of(function() page.rows = 0 end), "plot.page: rows is 0")
      has(message_of(function() page.figures = {} end), "plot: a page has no option 'figures'")
      assert.are.same({"q", 1}, {page.title, page.rows})
    end)

    it("does not come later: lists are copies", function()
      local xs, ys, names = {1, 2, 3}, {3, 1, 2}, {"a", "b", "c"}
      local rows, row = {{1, 2}, {3, 4}}, {0, 1, 2, 3}
      local f = plot.figure():line(xs, ys):band(ys, xs):bars(names, xs):histogram(ys):scatter(rows):scatter(xs, ys)
        :contour(rows, {extent = {1, 2, 1, 2}}):image(rows)
      local g, limits = plot.figure():images{row, row}, {1, 2}
      local h = plot.figure{xlim = limits}:heatmap(rows, {rows = {"a", "b"}})
      local before = {commands_of(f), commands_of(g), commands_of(h)}
      for _, list in ipairs{xs, ys, names, rows[1], row, limits} do
        for i = 1, #list do list[i] = "system" end
      end
      rows[2] = nil
      assert.are.same(before, {commands_of(f), commands_of(g), commands_of(h)})
    end)

    it("is no colour, style or name", function()
      local f = plot.figure()
      local evil = "#000000' ; system 'touch " .. file("touched")
      for _, name in ipairs{"color", "style", "marker"} do
        has(message_of(f.line, f, {1, 2}, {[name] = evil}), "plot.line: " .. name .. " is '#000000' ; system")
      end
      has(message_of(f.image, f, {{1}}, {palette = {evil, "#ffffff"}}), "plot.image: palette is a table")
      has(message_of(f.line, f, {1, 2}, {[evil] = 1}), "plot.line: unknown option '#000000'")
    end)
  end)

  describe("errors", function()
    it("begin with the script's position", function()
      local position = "^[^:]*plot_spec.lua:%d+: plot."
      assert.is_truthy(message_of(function() plot.figure{titel = "x"} end):find(position .. "figure: "))
      assert.is_truthy(message_of(function() plot.figure():line{}:save("a.svg") end):find(position .. "line: "))
    end)

    it("name an unknown option and list the known ones", function()
      has(message_of(plot.figure, {titel = "x"}), "plot.figure: unknown option 'titel' (known: aspect, axes, doc, grid")
      local f = plot.figure()
      has(message_of(f.scatter, f, {{1, 2}}, {colour = "red"}), "plot.scatter: unknown option 'colour' (known: class,")
      has(message_of(f.save, f, file("a.png"), {dpi = 3}), "plot.save: unknown option 'dpi' (known: scale)")
    end)

    it("name wrong shapes and values, and leave the figure as it was", function()
      local f = plot.figure()
      local cases = {
        {"line", {{}}, "plot.line: y is empty"},
        {"line", {5}, "plot.line: y is 5"},
        {"line", {}, "plot.line: y is nil"},
        {"line", {{1, "a"}}, "plot.line: y[2] is 'a'"},
        {"line", {{1, 2}, {1}}, "plot.line: x has 2 numbers but y has 1"},
        {"line", {{{1, 2}, {3, 4}}}, "plot.line: y has more than one dimension"},
        {"line", {{1}, {width = -1}}, "plot.line: width is -1 (expected a positive number up to 1000)"},
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
      has(message_of(f.save, f, {}), "plot.save: the path is a table")
      has(message_of(f.save, f, "a\0.svg"), "plot.save: path 1 is 'a?.svg'")
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

describe("process", function()
  it("moves bytes both ways without waiting for ever", function()
    local big = ("0123456789abcde\n"):rep(200000)
    local status, stdout, stderr = process.run{argv = {"sh", "-c", "tee /dev/stderr"}, input = big}
    assert.are.equal(0, status)
    assert.is_true(stdout == big and stderr == big)
  end)

  it("gives exit statuses and signals", function()
    assert.are.equal(3, (process.run{argv = {"sh", "-c", "exit 3"}}))
    assert.are.equal(128 + 9, (process.run{argv = {"sh", "-c", "kill -9 $$"}}))
  end)

  it("survives a program that does not read", function()
    assert.are.equal(0, (process.run{argv = {"true"}, input = ("x"):rep(1000000)}))
  end)

  it("uses no shell", function()
    local _, stdout = process.run{argv = {"echo", "$HOME; `id`"}}
    assert.are.equal("$HOME; `id`\n", stdout)
  end)

  it("says what cannot be started", function()
    local status, message, missing = process.run{argv = {"no-such-program-here"}}
    assert.is_nil(status)
    has(message, "cannot be started: ")
    assert.is_true(missing)
    has(message_of(process.run, {argv = {}}), "argv has 0 strings")
    has(message_of(process.run, {argv = {"a\0b"}}), "cut by a NUL")
    has(message_of(process.run, {}), "argv is missing")
  end)

  it("gives a child no other descriptor", function()
    local open <close> = assert(io.open("/dev/null"))
    local _, stdout = process.run{argv = {"ls", "/proc/self/fd"}}
    assert.are.equal("0\n1\n2\n3\n", stdout) -- 3 is the folder that ls reads
    assert.is_truthy(open)
  end)

  it("makes a new folder once, and says when it cannot", function()
    local path = os.tmpname()
    os.remove(path)
    assert.is_true(process.new_folder(path))
    assert.is_false(process.new_folder(path))
    os.remove(path)
    local made, message = process.new_folder("/nonexistent/a")
    assert.is_nil(made)
    assert.are.equal("cannot make the folder '/nonexistent/a': No such file or directory", message)
  end)

  it("knows that a file is no terminal", function()
    local program = (os.getenv "PERILUNE_BUILD_DIR" or "build") .. "/perilune"
    local code = "require 'perilune' print(debug.getregistry()['perilune.internal'].process.is_terminal(0))"
    local _, stdout = process.run{argv = {program, "-e", code}}
    assert.are.equal("false\n", stdout)
    _, stdout = process.run{argv = {"script", "-qec", program .. ' -e "' .. code .. '"', "/dev/null"}}
    assert.are.equal("true\r\n", stdout)
  end)

  it("runs several at once, results in order", function()
    local results = process.run_all{{argv = {"sh", "-c", "sleep 0.1; echo 1"}}, {argv = {"no-such-program-here"}},
      {argv = {"cat"}, input = "3"}}
    assert.are.equal("1\n", results[1].stdout)
    assert.is_true(results[2].missing)
    assert.are.equal("3", results[3].stdout)
  end)

  it("runs no more at once than it is told, and tells of each as it ends", function()
    local path = os.tmpname()
    -- each job waits until as many have begun as shall run at once
    local script = 'printf b >>"$1"; until [ "$(grep -o b "$1" | grep -c .)" -ge "$2" ]; do :; done; ' ..
      'printf e >>"$1"; echo "$3"'
    for at_once, most in pairs{1, 2, [70] = 5} do
      local jobs = {}
      for i = 1, 5 do jobs[i] = {argv = {"sh", "-c", script, "sh", path, tostring(most), tostring(i)}} end
      jobs[6] = {argv = {"no-such-program-here"}}
      assert(process.write(path, ""))
      local told = {}
      local results = process.run_all(jobs, at_once, function(i, result)
        assert.is_nil(told[i])
        told[i] = result
      end)
      assert.are.same(results, told)
      assert.are.equal(6, #results)
      for i = 1, 5 do assert.are.equal(i .. "\n", results[i].stdout) end
      assert.is_true(results[6].missing)
      local order <close> = assert(io.open(path))
      local running, highest = 0, 0
      for letter in order:read("a"):gmatch(".") do
        running = running + (letter == "b" and 1 or -1)
        highest = math.max(highest, running)
      end
      assert.are.equal(0, running)
      assert.are.equal(most, highest)
    end
    os.remove(path)
    has(message_of(process.run_all, {}, 0), "expected at least 1")
  end)

  it("ends the others when it is told to stop", function()
    local path = os.tmpname()
    local message = message_of(process.run_all, {
      {argv = {"sh", "-c", 'until [ -s "$1" ]; do sleep 0.02; done', "sh", path}},
      {argv = {"sh", "-c", 'echo $$ >"$1"; exec sleep 60', "sh", path}},
    }, 2, function() error("enough", 0) end)
    assert.are.equal("enough", message)
    local file_of_pid <close> = assert(io.open(path))
    assert.is_nil(io.open(("/proc/%d/stat"):format(file_of_pid:read("n"))))
    os.remove(path)
  end)

  it("lists a folder", function()
    local path = os.tmpname()
    os.remove(path)
    assert(process.mkdir(path .. "/b"))
    assert(process.write(path .. "/.a", ""))
    local names = process.list(path)
    table.sort(names)
    assert.are.same({".a", "b"}, names)
    assert.are.equal(0, (process.run{argv = {"rm", "-r", path}}))
    local none, message = process.list(path)
    assert.is_nil(none)
    assert.are.equal("cannot read the folder '" .. path .. "': No such file or directory", message)
  end)
end)
