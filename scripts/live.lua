-- Decision regions of a network while it trains, in the terminal: some epochs, a picture, and a rest until the next is
-- due, since training alone is over in a third of a second. Where there is no terminal the last picture is printed.

local peri = require "perilune"
local nn, data = peri.nn, peri.data
local o = peri.script.options {
  about = "Decision regions of a network while it trains, redrawn in the terminal.",
  data = { "spirals", choices = { "spirals", "moons", "circles", "checkerboard" }, doc = "what is learnt" },
  epochs = { 5000, quick = 400, doc = "passes" }, points = { 300, doc = "examples", least = 4 },
  hidden = { 24, doc = "units of each of two hidden layers" }, lr = { 0.003, doc = "learning rate of Adam" },
  every = { 10, doc = "epochs from one picture to the next, on a terminal" }, fps = { 30, doc = "pictures a second" },
  columns = { 72, doc = "of a picture", least = 8, most = 500 },
  rows = { 24, doc = "of a picture", least = 4, most = 200 },
  seed = { 1, doc = "of points and weights" },
}

peri.manual_seed(o.seed)
local noise = { spirals = 0.03, moons = 0.15, circles = 0.08, checkerboard = 0 }
local X, y = data[o.data](o.points, { noise = noise[o.data], seed = o.seed })
X = data.StandardScaler():fit(X):transform(X)
y = y:eq(y:max()):to "int64" + 1
local net = nn.Sequential(nn.Linear(2, o.hidden), nn.Tanh(), nn.Linear(o.hidden, o.hidden), nn.Tanh(),
  nn.Linear(o.hidden, 2))
local cross_entropy, adam = nn.CrossEntropyLoss(), peri.optim.Adam(net:parameters(), { lr = o.lr })

-- ---- the picture: a cell is two points of a grid, one above the other ----
local width, height, edge = o.columns, 2 * o.rows, 2.1
local grid = peri.stack({ peri.linspace(-edge, edge, width):tile(height),
  peri.linspace(edge, -edge, height):repeat_interleave(width) }, 2)
local example = {} -- the class of the example that lies at a point of the grid, by its number
for i, p in ipairs(((X + edge) / (2 * edge)):totable()) do
  local column, row = math.floor(p[1] * (width - 1) + 1.5), math.floor((1 - p[2]) * (height - 1) + 1.5)
  if column >= 1 and column <= width and row >= 1 and row <= height then
    example[(row - 1) * width + column] = y[i]
  end
end

local live = os.execute "test -t 1" == true and os.getenv "TERM" ~= "dumb"
local colours = live and (os.getenv "NO_COLOR" or "") == ""
local blue, orange, white = { 40, 105, 190 }, { 235, 130, 20 }, { 250, 250, 250 }
local function colour(k, p) -- of point k, where the second class has probability p
  local c, pale = p > 0.5 and orange or blue, 0.25 + 0.6 * math.abs(2 * p - 1)
  if example[k] then c, pale = example[k] == 2 and { 150, 70, 0 } or { 0, 30, 110 }, 1 end
  local function mix(i) return math.floor(c[i] * pale * (example[k] and 1 or 0.8) + white[i] * (1 - pale)) end
  return ("%d;%d;%d"):format(mix(1), mix(2), mix(3))
end
local function letter(k, p) return example[k] == 2 and "o" or example[k] and "x" or p > 0.5 and "." or " " end

local function picture()
  local p = peri.no_grad(function() return net(grid):softmax(2)[{ {}, 2 }]:totable() end)
  local lines = {}
  for row = 0, height - 1, 2 do
    local cells = {}
    for column = 1, width do
      local k = row * width + column
      local below = k + width
      if colours then
        cells[column] = ("\27[38;2;%s;48;2;%sm▀"):format(colour(k, p[k]), colour(below, p[below]))
      else
        cells[column] = example[below] and letter(below, p[below]) or letter(k, p[k])
      end
    end
    lines[#lines + 1] = table.concat(cells) .. (colours and "\27[0m" or "")
  end
  return table.concat(lines, "\n")
end

-- ---- training ----
local start, pictures, loss = peri.now(), 0, nil
local function draw(epoch)
  local right = peri.metrics.accuracy(y, peri.no_grad(net, X):argmax(2))
  local said = ("epoch %d, loss %.4f, accuracy %.3f"):format(epoch, loss, right)
  if live then said = said .. (", %.0f pictures a second\27[K"):format(pictures / (peri.now() - start)) end
  io.write(live and pictures > 0 and ("\27[%dA\r"):format(o.rows + 1) or "", picture(), "\n", said, "\n")
  io.stdout:flush()
  pictures = pictures + 1
  local rest = live and start + pictures / o.fps - peri.now() or 0
  return rest <= 0 or os.execute(("sleep %.4f"):format(rest)) -- nil when Ctrl-C has ended it
end

for epoch = 1, o.epochs do
  local current = cross_entropy(net(X), y)
  adam:zero_grad()
  current:backward()
  adam:step()
  loss = current:item()
  if (epoch == o.epochs or live and epoch % o.every == 0) and not draw(epoch) then break end
end
