-- What peri.plot makes of extreme numbers, and that no text or file name ever becomes a command.
local peri = require "perilune"
local plot = peri.plot
local xml = require "support.xml"
local message_of = require("support.fails").message
local pictures = require "support.pictures"
local commands_of, has, lacks = pictures.commands_of, pictures.has, pictures.lacks
local parabola = pictures.parabola
local folder = pictures.folder
local file, content, exists = folder.file, folder.content, folder.exists

local NAN = 0 / 0

describe("plot #once", function()
  setup(folder.make)
  teardown(folder.remove)

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
      has(message_of(f.line, f, {1, 2}, {width = 1e300}), "width is 1e+300 (expected a number above 0, at most 1000)")
      has(message_of(plot.figure, {aspect = 1e300}),
        "plot.figure: aspect must be one of auto, equal or a number from 0.001 to 1000, got 1e+300")
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
      has(message_of(function() f.width = 1 end), "plot.figure: width is 1 (expected 50 to 10000)")
      has(message_of(function() f.colour = "red" end), "plot: a figure has no option colour (known: aspect, axes,")
      has(message_of(function() f[1] = "red" end), "plot: a figure has no option 1 (known: aspect, axes,")
      f.xlim, f.yscale = nil, "log"
      has(message_of(function() f.ylim = {-1, 1} end), "plot.figure: ylim is {-1, 1} on a log axis")
      assert.is_nil(f.ylim)
      f = plot.figure():image{{1}}
      has(message_of(function() f.xscale = "log" end), "plot.figure: xscale is 'log' but there is an image")
      local page = plot.page{f, f, title = "p"}
      page.title = "q"
      has(message_of(function() page.rows = 0 end), "plot.page: rows is 0")
      has(message_of(function() page.figures = {} end), "plot: a page has no option figures")
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
        has(message_of(f.line, f, {1, 2}, {[name] = evil}), "got '#000000' ; system")
      end
      has(message_of(f.image, f, {{1}}, {palette = {evil, "#ffffff"}}), "plot.image: palette must be one of ")
      has(message_of(f.line, f, {1, 2}, {[evil] = 1}), "plot.line: unknown option #000000' ; system")
    end)
  end)
end)
