-- Pages of peri.plot: panels of one size, legends and limits that they share, marks of an axis.
local peri = require "perilune"
local plot = peri.plot
local message_of = require("support.fails").message
local pictures = require "support.pictures"
local commands_of, has, lacks = pictures.commands_of, pictures.has, pictures.lacks
local tensor = pictures.tensor
local folder = pictures.folder
local file, content = folder.file, folder.content

local NAN = 0 / 0

describe("plot", function()
  setup(folder.make)
  teardown(folder.remove)

  it("draws pages of several panels", function()
    local figure = plot.figure{title = "panel"}:line{1, 2}
    local page = plot.page{title = "page", figure, figure, figure}
    has(commands_of(page), "set multiplot  title 'page'")
    page:save{file("picture.svg"), file("picture.png")}
    has(content("picture.svg"), "<text>page</text>")
    has(message_of(plot.page, {}), "plot.page: there are no panels")
    has(message_of(plot.page, {figure, 3}), "plot.page: panel 2 must be a figure, got 3")
    has(message_of(plot.page, {figure, figure, rows = 1, cols = 1}), "plot.page: 2 figures do not fit")
  end)

  it("leaves room between words that stand below each other in SVG, and draws marks as large as asked for", function()
    local function panel(n)
      return plot.figure{title = "title " .. n, xlabel = "below " .. n}
        :line({1, 2, 3}, {label = "curve " .. n, marker = "circle", size = 6})
    end
    plot.page{panel(1), panel(2), cols = 1, title = "page", legend = "each", width = 600, height = 500}:save(
      file "picture.svg")
    local svg, places = content "picture.svg", {}
    for y, size, words in svg:gmatch 'translate%([%d.]+,([%d.]+)%)"[^>]-font%-size="([%d.]+)"[^>]*>%s*<text>([^<]+)' do
      places[words] = {top = y - 0.8 * size, bottom = y + 0.25 * size}
    end
    for _, pair in ipairs{{"page", "title 1"}, {"below 1", "title 2"}} do
      local gap = places[pair[2]].top - places[pair[1]].bottom
      assert.is_true(gap >= 3, ("%s: %g"):format(pair[1], gap))
    end
    local diameter = 2 * svg:match "scale%(([%d.]+)%)" -- of a circle of radius 1
    assert.is_true(math.abs(diameter - 6) < 1, diameter)
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
      has(message_of(plot.page, {low, share = "z"}), "plot.page: share must be one of both, x, y, got 'z'")
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
      local expected = "plot.figure: xticks must be false or a list, each a number or {number, name}, got a table"
      for _, wrong in ipairs{{}, {"a"}, {{1, 2, 3}}, {{"a", 1}}, {NAN}} do
        has(message_of(plot.figure, {xticks = wrong}),
          "plot.figure: xticks must be false or a list, each a number or {number, name}, got ")
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
end)
