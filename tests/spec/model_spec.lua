-- peri.save_model, peri.load_model and pipelines, as scripts have them. tests/c/test_lua_model.c compares the bits of
-- all kinds of models with those of scorers, test_model.c has files that are damaged or lie.
local peri = require "perilune"
local message = require("support.fails").message
local scratch = require "support.scratch"
local nn, svm, data, model = peri.nn, peri.svm, peri.data, peri.model

local function bytes_of(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function saved(m, options)
  local path = scratch()
  peri.save_model(path, m, options)
  local bytes, again = bytes_of(path), peri.load_model(path)
  peri.save_model(path, again, options)
  assert.is_true(bytes_of(path) == bytes, "what was loaded is saved as another file")
  os.remove(path)
  return again, bytes
end

local function rows(d, seed)
  peri.manual_seed(seed)
  return peri.randn(50, d), peri.arange(1, 50) % 3 * 5, peri.randn(50)
end

describe("a model file", function()
  it("gives back networks as they were, nested ones too", function()
    peri.manual_seed(1)
    local net = nn.Sequential(nn.Linear(4, 6, { bias = false }), nn.Sequential(nn.LeakyReLU { negative_slope = 0.1 },
      nn.Sequential(nn.Linear(6, 6), nn.PReLU { num_parameters = 6 })), nn.Dropout { p = 1 / 3 },
      nn.BatchNorm1d(6, { momentum = "cumulative" }), nn.Linear(6, 2))
    net(peri.randn(9, 4))
    net:eval()
    local again = saved(net)
    assert.equal(tostring(net), tostring(again))
    local X = peri.randn(7, 4)
    assert.is_true(again(X):equal(net(X)))
    assert.is_false(again.training)
    local one = saved(nn.Linear(3, 2, { dtype = "float64" }))
    assert.equal("float64", one.weight.dtype)
    local images = saved(nn.Sequential(nn.Conv2d(1, 2, { 2, 3 }, { padding = "same" }), nn.Flatten()),
      { input = { 1, 4, 4 } })
    assert.equal(32, images(peri.zeros(1, 1, 4, 4)):size(2))
  end)

  it("has the same bytes for the same machine, whenever it is written", function()
    local X, y = rows(3, 2)
    local m = svm.SVC { probability = true, class_weight = { [0] = 2, [5] = 0.5 }, gamma = 0.3 }:fit(X, y)
    local again, bytes = saved(m)
    for _ = 1, 5 do assert.is_true(select(2, saved(svm.SVC(m:params()):fit(X, y))) == bytes) end
    assert.equal(tostring(m), tostring(again))
    assert.is_true(again:predict_proba(X):equal(m:predict_proba(X)))
    assert.is_true(again.support:equal(m.support))
  end)

  it("gives back what train fits, without its history", function()
    local X, y, t = rows(3, 3)
    local net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    local m = peri.train.fit { model = net, optimizer = peri.optim.Adam(net:parameters(), { lr = 0.1 }),
      train = { X, y }, epochs = 2, progress = false }
    local again = saved(m)
    assert.is_true(again:predict(X):equal(m:predict(X)) and again.classes:equal(m.classes))
    assert.matches("plot: this training has no history", message(again.plot, again))
    assert.is_true(again:predict_proba(X):equal(m:predict_proba(X)))
    assert.equal(m:score(X, y), again:score(X, y))
    assert.matches("from a file", tostring(again))
    local r = peri.train.Regressor { epochs = 2, build = function(p)
      local layer = nn.Linear(p.n_features, p.n_outputs)
      return layer, peri.optim.SGD(layer:parameters(), { lr = 0.1 })
    end }
    r:fit(X, t, { progress = false })
    local other = saved(r)
    assert.equal(1, other:predict(X):dim())
    assert.is_true(other:predict(X):equal(r:predict(X)))
    -- images: the sizes of a row are known from the training
    local conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    local images = peri.train.fit { model = conv, optimizer = peri.optim.SGD(conv:parameters(), { lr = 0.1 }),
      train = { peri.randn(50, 1, 4, 4), y }, epochs = 1, progress = false }
    assert.same({ 1, 4, 4 }, saved(images).input)
  end)

  it("is refused for what is code, or not fitted, by name", function()
    local Own = nn.Module.extend "Mine"
    function Own:forward(x) return x end
    local X, y = rows(2, 4)
    local path = scratch()
    local function refused(m, options) return message(peri.save_model, path, m, options) end
    assert.matches("save_model: Mine is a layer written in Lua", refused(nn.Sequential(nn.Linear(2, 2), Own())))
    assert.matches("save_model: Mine is a layer written in Lua", refused(Own()))
    assert.matches("ModuleList is a list that does not run", refused(nn.ModuleList(nn.ReLU())))
    assert.matches("the kernel of the SVC is a Lua function",
      refused(svm.SVC { kernel = function(a, b) return a:matmul(b:t()) end }:fit(X, y)))
    assert.matches("SVC: not fitted", refused(svm.SVC {}))
    assert.matches("the Classifier is not fitted", refused(peri.train.Classifier { build = function() end }))
    assert.matches("the StandardScaler is not fitted",
      refused(model.pipeline { data.StandardScaler(), svm.SVC {}:fit(X, y) }))
    assert.matches("m must be a network of built%-in layers, .*, got 3", refused(3))
    assert.matches("m must be a network", refused(data.StandardScaler()))
    assert.matches("input is missing", refused(nn.Conv2d(1, 2, 3)))
    assert.matches("conv2d: x is 1x9", refused(nn.Conv2d(1, 2, 3), { input = { 9 } }))
    assert.matches("entry 1 of input is 0 %(expected", refused(nn.Tanh(), { input = { 0 } }))
    assert.matches("input is an option of networks", refused(svm.SVC {}:fit(X, y), { input = { 2 } }))
    assert.matches("the network mixes rows", refused(nn.Sequential(nn.Linear(2, 2), nn.Softmax { dim = 1 })))
    assert.is_nil(io.open(path))
  end)

  it("is told from others", function()
    local path = scratch()
    assert.matches("cannot be opened", message(peri.load_model, path))
    peri.save(path, { a = peri.zeros(2) })
    assert.matches("it holds no model", message(peri.load_model, path))
    local X, y = rows(2, 5)
    svm.SVC {}:fit(X, y):save(path)
    assert.matches("it holds no model", message(peri.load_model, path))
    peri.save_model(path, nn.Linear(2, 2))
    assert.matches("svm.load: .* holds no estimator", message(svm.load, path))
    os.remove(path)
    assert.matches("path must be a string", message(peri.load_model, 7))
  end)
end)

describe("a pipeline", function()
  it("fits, predicts and scores as its steps one after the other", function()
    local X, y = rows(4, 6)
    local scaler, pca, m = data.StandardScaler(), data.PCA { components = 2 }, svm.SVC { probability = true }
    local p = model.pipeline { scaler, pca, m }
    assert.is_true(p:fit(X, y) == p)
    local Z = pca:transform(scaler:transform(X))
    assert.is_true(p:transform(X):equal(Z))
    assert.is_true(p:predict(X):equal(m:predict(Z)))
    assert.is_true(p:predict_proba(X):equal(m:predict_proba(Z)))
    assert.is_true(p:decision_function(X):equal(m:decision_function(Z)))
    assert.equal(m:score(Z, y), p:score(X, y))
    assert.is_true(p.steps[1] == scaler)
    local again = saved(p)
    assert.is_true(again:predict_proba(X):equal(p:predict_proba(X)))
    assert.equal(tostring(p), tostring(again))
    assert.is_true(again.steps[2]:inverse_transform(Z):equal(pca:inverse_transform(Z)))
  end)

  it("has the options of its steps, and clones that are not fitted", function()
    local X, y = rows(4, 6)
    local scaler, pca = data.StandardScaler { mean = false }, data.PCA { components = 2 }
    local p = model.pipeline { scaler, data.PCA(), pca, svm.SVC { C = 3 } }:fit(X, y)
    local params = p:params()
    assert.same({ false, true, false, 2, 3 }, {
      params["StandardScaler.mean"], params["StandardScaler.std"], params["PCA.whiten"], params["PCA2.components"],
      params["SVC.C"],
    })
    assert.is_nil(params["PCA.components"])
    local q = p:clone { ["SVC.C"] = 7, ["PCA2.components"] = 3 }
    assert.equal(3, p.steps[4].C)
    params = q:params()
    assert.same({ 7, 3, false }, { params["SVC.C"], params["PCA2.components"], params["StandardScaler.mean"] })
    assert.matches("not fitted", message(q.predict, q, X))
    assert.is_true(p:clone():fit(X, y):decision_function(X):equal(p:decision_function(X)))
    assert.same(p.classes:totable(), p.steps[4].classes:totable())
    assert.is_nil(q.classes)
    assert.matches(
      "clone: changes has 'SVR.C' %(expected STEP.OPTION, where STEP is one of StandardScaler, PCA, PCA2, SVC%)",
      message(q.clone, q, { ["SVR.C"] = 1 }))
    assert.matches("clone: changes has 'C'", message(q.clone, q, { C = 1 }))
    assert.matches("changes must have names, got the key 1", message(q.clone, q, { 1 }))
    assert.matches("StandardScaler: unknown option means", message(q.clone, q, { ["StandardScaler.means"] = true }))
    assert.matches("SVC: C is %-1", message(q.clone, q, { ["SVC.C"] = -1 }))
    assert.matches("params: called with 3 %(expected m:params%(%)%)", message(q.params, 3))
  end)

  it("is searched and scored as a whole: its transforms are fitted within each fold", function()
    local X, y = rows(3, 8)
    local select, seen = peri.select, 0
    local p = model.pipeline { data.StandardScaler(), svm.SVC {} }
    local by_hand
    function by_hand()
      local scaler, m = data.StandardScaler(), svm.SVC {}
      return {
        clone = function() return by_hand() end,
        fit = function(_, A, b)
          seen = seen + #A
          m:fit(scaler:fit(A):transform(A), b)
        end,
        predict = function(_, A) return m:predict(scaler:transform(A)) end,
        score = function(_, A, b) return m:score(scaler:transform(A), b) end,
      }
    end
    local plain = select.cross_val_score(by_hand(), X, y, { cv = 3, seed = 1 })
    assert.equal(2 * #X, seen)
    assert.is_true(select.cross_val_score(p, X, y, { cv = 3, seed = 1 }):equal(plain))
    local g = select.grid_search {
      estimator = p, train = { X, y }, cv = 3, seed = 1,
      params = { ["SVC.C"] = { 0.1, 10 }, ["StandardScaler.mean"] = { true, false } },
    }
    assert.equal(4, #g.results)
    assert.equal(g.best_params["SVC.C"], g.best:params()["SVC.C"])
    local at_ten = select.cross_val_score(p:clone { ["SVC.C"] = 10 }, X, y, { cv = 3, seed = 1 })
    for _, r in ipairs(g.results) do
      local plain_mean = r.params["StandardScaler.mean"]
      if r.params["SVC.C"] == 10 and plain_mean then assert.equal(at_ten:mean():item(), r.score) end
    end
    local drawn = select.random_search {
      estimator = p, train = { X, y }, cv = 3, n = 3, seed = 1,
      params = { ["SVC.C"] = { from = 0.1, to = 10, log = true } },
    }
    assert.equal(3, #drawn.results)
    local curve = select.learning_curve { estimator = p, train = { X, y }, cv = 3, seed = 1, sizes = { 0.5, 1 } }
    assert.equal(2, #curve.test_mean)
    local validated = select.validation_curve {
      estimator = p, train = { X, y }, cv = 3, param = "SVC.gamma", values = { 0.1, 1 },
    }
    assert.equal(2, #validated.test_mean)
    local auc = select.cross_val_score(p, X, y:eq(0):to "int64", { cv = 3, seed = 1, metric = "roc_auc" })
    assert.is_true(auc:gt(0):all())
    local rows_of = select.compare { { "pipe", p }, { "plain", svm.SVC {} }, train = { X, y }, test = { X, y } }
    assert.equal("pipe", rows_of.results[1].name)
    assert.matches("not fitted", message(p.predict, p, X)) -- all of it was done on clones
  end)

  it("clones networks, and says what cannot be cloned", function()
    local X, y = rows(3, 5)
    local net = peri.train.Classifier {
      build = function(p)
        local m = peri.nn.Sequential(nn.Linear(p.n_features, p.width), nn.ReLU(), nn.Linear(p.width, p.n_classes))
        return m, peri.optim.Adam(m:parameters())
      end,
      params = { width = 4 }, epochs = 2, seed = 1,
    }
    local p = model.pipeline { data.StandardScaler(), net }
    local q = p:clone { ["Classifier.width"] = 6, ["Classifier.epochs"] = 1 }:fit(X, y)
    assert.equal(6, q.steps[2].model[1].weight:size(1))
    assert.equal(4, p:params()["Classifier.params"].width)
    local m = peri.nn.Linear(3, 3)
    local sgd = peri.optim.SGD(m:parameters(), { lr = 0.1 })
    local fitted = peri.train.fit { model = m, optimizer = sgd, train = { X, y }, epochs = 1 }
    local r = model.pipeline { data.StandardScaler():fit(X), fitted }
    assert.matches("clone: .* has no clone", message(r.clone, r))
    assert.matches("estimator must be an estimator that can be cloned, got a PCA",
      message(peri.select.cross_val_score, data.PCA(), X, y))
  end)

  it("says what cannot stand where", function()
    assert.matches("step 1 must be a transform, as data.StandardScaler%(%), MinMaxScaler%(%) or PCA%(%), got a table",
      message(model.pipeline, { {}, svm.SVC {} }))
    assert.matches("step 2 must be an estimator: a machine, as svm.SVC%(%), or what train gives, got a function",
      message(model.pipeline, { data.PCA(), svm.SVC }))
    assert.matches("step 1 must be an estimator.*, got a Standard", message(model.pipeline, { data.StandardScaler() }))
    assert.matches("a pipeline of transforms and one of these, got a PCA", message(peri.save_model, "x", data.PCA()))
    assert.matches("pipeline: steps must be a table, got 3", message(model.pipeline, 3))
    assert.matches("there are no steps", message(model.pipeline, {}))
    assert.matches("step 1 must be a transform, .* got an SVC", message(model.pipeline, { svm.SVC {}, svm.SVC {} }))
    assert.matches("step 2 must be an estimator: .* got a PCA", message(model.pipeline, { data.PCA(), data.PCA() }))
    local X, t = rows(2, 7), select(3, rows(2, 7))
    local p = model.pipeline { data.MinMaxScaler(), svm.SVR {} }:fit(X, t)
    assert.matches("predict_proba: .* has no predict_proba", message(p.predict_proba, p, X))
    assert.matches("predict: called with 3 %(expected m:predict%(X%)%)", message(p.predict, 3))
  end)
end)
