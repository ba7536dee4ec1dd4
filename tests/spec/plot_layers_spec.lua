-- The layers of peri.plot: contours, regions, bars and cells.
local peri = require "perilune"
local plot = peri.plot
local message_of = require("support.fails").message
local pictures = require "support.pictures"
local commands_of, has, lacks = pictures.commands_of, pictures.has, pictures.lacks
local tensor, parabola = pictures.tensor, pictures.parabola
local folder = pictures.folder
local file = folder.file

local NAN = 0 / 0

describe("plot", function()
  setup(folder.make)
  teardown(folder.remove)

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
      has(message_of(f.bars, f, {1, 2}, {values = "%s"}),
        "plot.bars: values must be a format of one number such as '%.2f', got '%s'")
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
      has(message_of(f.band, f, {1, 2}), "plot.band: high must be a tensor or a list of numbers, got nil")
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
      has(message_of(f.text, f, 1, NAN, "x"), "plot.text: y is nan (expected a finite number)")
      has(message_of(f.text, f, 1, 2), "plot.text: words must be a string, got nil")
    end)
  end)
end)
