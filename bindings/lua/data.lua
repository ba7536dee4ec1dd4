-- What of peri.data is best in Lua. Called with the module and the table that C has begun.
local peri, internal, data = ...

local pieces = {}

-- A function of a piece of the module, which is loaded when one of its functions is first called.
local function later(piece, name)
  return function(...)
    if not pieces[piece] then
      local input = internal.load("learn.input", peri, internal)
      pieces[piece] = internal.load(piece, peri, internal, input, internal.load("learn.rows", peri, internal, input))
    end
    return pieces[piece][name](...)
  end
end

local function document(name, doc, piece) internal.document(name, doc, later(piece, name), data) end

local function exists(path)
  return internal.process.exists(path)
end

local function read(dir, name)
  for _, ending in ipairs { ".gz", "" } do
    local path = dir .. "/" .. name .. ending
    if exists(path) then return data.read_idx(path) end
  end
  error(("mnist: neither %s.gz nor %s is in %s"):format(name, name, dir), 0)
end

local function read_set(dir, prefix)
  local images, labels = read(dir, prefix .. "-images-idx3-ubyte"), read(dir, prefix .. "-labels-idx1-ubyte")
  local bytes = images.dtype == "uint8" and labels.dtype == "uint8"
  if not bytes or images:dim() ~= 3 or labels:dim() ~= 1 or #images ~= #labels then
    local text = "mnist: the %s images are %s of %s and the labels %s of %s (expected n x rows x columns and n, uint8)"
    error(text:format(prefix, images.dtype, table.concat(images.shape, "x"), labels.dtype,
      table.concat(labels.shape, "x")), 0)
  end
  if images:size(2) ~= 28 or images:size(3) ~= 28 or #images == 0 then
    error(("mnist: the %s images are %s (expected n x 28 x 28, n from 1)"):format(prefix,
      table.concat(images.shape, "x")), 0)
  end
  local y = labels:to("int64")
  if y:max():item() > 9 then
    error(("mnist: label %d of %s is %d (expected 0 to 9, as there are classes)"):format(y:argmax(), prefix,
      y:max():item()), 0)
  end
  return { x = images:view(#images, -1):to("float32"):div_(255), y = y:add_(1) }
end

local FOLDER = internal.check.test("the name of a folder", function(v)
  return type(v) == "string" and v ~= "" and not v:find "%z"
end)

internal.document("mnist", [[
data.mnist(dir) -> {train = {x =, y =}, test = {x =, y =}, classes =}
Reads the four IDX files of MNIST (or a set of its family) from a folder, plain or .gz: x is n x 784 float32 in [0, 1],
y int64: the digit + 1; classes are the digits in order.
Errors: files that are missing, or no such sets; images that are not 28x28; labels beyond 9.]], function(dir)
  internal.check.read("mnist", "dir", dir, FOLDER)
  local ok, result = pcall(function()
    return { train = read_set(dir, "train"), test = read_set(dir, "t10k"), classes = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 } }
  end)
  if not ok then internal.raise(result) end
  return result
end, data)

document("split", [[
data.split({X, y}, {train =, dev =, test =, seed = 0, shuffle = true, stratify = false}) -> {train =, dev =, test =}
Rows of tensors into parts, each {X, y} also as .x and .y, with .index (int64:
which rows). train, dev and test are shares up to 1 or counts above 1; train is
the rest when it is left out, and rows beyond the sum are left out. The order is
random and follows from seed; without shuffle the parts are stretches of rows.
stratify: each label of y comes in every part in proportion.
Errors: parts that add up to more than there is, or get no row; with stratify a
class of one row.]], "data.split")

document("image_folder", [[
data.image_folder(dir, {size =, channels =, dtype = 'float32'}) -> {x =, y =, classes =, files =}
The images (PNG, PGM, PPM) of a folder that has a folder for each class: x is
n x channels x height x width, float32 in [0, 1], or uint8 if dtype says so; y
int64, the place of each image's folder in classes (list, in the order of
bytes); files are the paths. Hidden files, and files beside the folders, are
left out. size, a number or {height, width}, resizes all images (bilinear);
channels converts them, as read_image does. Without these all must be alike.
Errors, with the file: what is no such image, or damaged, or of another size or
other channels; a folder without images; no folders.]], "data.images")

-- ---- CSV ----

document("read_csv", [[
data.read_csv(path, {header =, columns =, label =, separator =, missing = 'error', dtype = 'float32'}) -> X, y, info
Reads CSV or TSV (RFC 4180: cells may stand in quotes, with quotes doubled),
plain or compressed with gzip. Blanks around a cell and empty lines are left
out; numbers are decimal in every locale. X is n x d of dtype (float32 or
float64).
columns is a list of names or positions (from 1, or from -1 at the end), by
default all but the label. label names the column of y: int64 when all labels
are whole numbers, float64 when all are numbers; else, or when all labels stand
in quotes and no number of X does, they are texts, and y is the place of each
among info.classes (list, in the order of bytes), from 1. Without label y is
nil. header says whether the first record holds names; by default it does when a
column is asked for by name, or a cell of X's columns is no number there, or all
of them are numbers in quotes (unquoted numbers as names need header = true).
separator is a tab for .tsv and .tab, else a comma. info has header, columns and
label (names, or positions without header) and classes.
missing = 'nan' reads cells of X that are empty or NA, N/A, NaN, null, none or ?
(in any case) as NaN.
Errors, with line and column: cells that are missing or no numbers, or beyond
dtype; empty labels; records that are longer or shorter than the first; quotes
that do not close; columns that are not there, twice there, or asked for twice.]], "data.csv")

document("write_csv", [[
data.write_csv(path, X, y, {columns =, label =, classes =, separator =})
Writes X (n x d numbers) and y (n numbers, or nil) as its last column, as
read_csv reads them, with as many digits as give the same bits again. columns (a
list of d names) and label (that of y) make a first line of names (in quotes
where they are numbers, so that they are read as names); classes (a
list of texts, numbers in quotes) is written in the place of the labels 1 to k.
separator as for read_csv; lines end with a line feed. The file is written whole or not at all.
Errors: shapes that do not fit; labels without a text in classes; the file
cannot be written.]], "data.csv")

-- ---- transforms ----

local METHODS = [[

Methods: fit(X) -> itself, transform(X), inverse_transform(X) and
fit_transform(X); X is n x d, float32 or float64 (or a table of rows), and
results have its dtype; statistics are float64.
params() gives the options, clone(changes) a new one, not fitted, with some of them changed.]]

document("StandardScaler", [[
data.StandardScaler{mean = true, std = true} -> scaler
Columns less their mean, divided by their standard deviation (over n). Fields
once fitted: mean, scale (d; nil when not asked for), var (d; scale is right
even where a square leaves the range of float64). A column whose values are
equal but for rounding has scale 1, as in scikit-learn, and becomes 0: its
variance is at most n e var + (n e mean)^2 with e = 2^-52.]] .. METHODS .. [[

Errors: X that is empty, has NaN or infinity (fit), or other columns than were
fitted; not fitted.]], "data.transforms")

document("MinMaxScaler", [[
data.MinMaxScaler{low = 0, high = 1, clip = false} -> scaler
Columns stretched so that their smallest value becomes low and their largest
high; clip limits what lies beyond in other rows. Fields once fitted: min, max,
range (max - min, 1 where that is 0), scale ((high - low) / range), all of d. A
column whose values are all equal becomes low.]] .. METHODS .. [[

Errors: as StandardScaler; low that is not below high.]], "data.transforms")

document("PCA", [[
data.PCA{components =, whiten = false} -> PCA
Principal components by the singular value decomposition of X less its column
means (linalg.qr and linalg.svd, whose bits are the processor's). components is how many (by
default all: the smaller of n and d), or a share below 1: as few as explain that much of the variance. Fields
once fitted: components (k x d, rows of length 1, the largest entry of each
positive), explained_variance (k, over n - 1), explained_variance_ratio (k,
shares of the whole), singular_values (k), deviation (k: standard deviations, 1
where there is no variance but what rounding makes), mean (d), n_components.
transform gives n x k, with whiten each column divided by its deviation.]] .. METHODS .. [[

Errors: as StandardScaler; fewer than 2 rows; more components than there are. I.
Jolliffe, 'Principal component analysis', 2002.]], "data.transforms")

return data
