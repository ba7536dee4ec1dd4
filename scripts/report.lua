-- All experiments, run one after another (two at a time), as one page: tables, pictures, explanations and sources.
--
-- The page, index.html in the folder of --out, has everything inside it and opens from disk.

local peri = require "perilune"
local o = peri.script.options {
  about = "Runs the experiments and writes one page of what they print and draw.",
  data = { "", doc = "folder of MNIST's files; without it, generated digits", word = "DIR" },
  jobs = { 2, doc = "scripts that run side by side" },
}

local digits = o.data ~= "" and { "--data", o.data } or nil
local scripts = {
  { name = "circle", title = "Two rings, by hand and by layers", text = [[
    One small network learns to tell two noisy rings apart, written in four degrees of automation: forward, backward
    and update by hand; gradients by autograd; layers; layers and an optimiser. By hand and by autograd the parameters
    stay the same up to rounding, which is the test of both. Kernel machines learn the same points: no straight line
    can part rings, a curved boundary does. Then what else matters: learning rates and the epochs that they need, when
    to stop, weights to begin with, and C, the price of a point on the wrong side.]] },
  { name = "gradient_descent", title = "Gradient descent: all examples, some, or one", text = [[
    A line through points has two parameters and a loss like a bowl. Many small steps on a few examples each make
    more way in an epoch than one step on all of them, but they keep on trembling: at a constant learning rate the
    noise of the mini-batches sets how close they come to the least loss.]] },
  { name = "learning_rate", title = "Learning rates and schedules", text = [[
    A rate that is too small gets nowhere in time, one that is too large diverges, and training says so and stops.
    With small mini-batches a constant rate keeps the noise of the steps in the loss; a rate that falls (in steps,
    exponentially, as 1/t, along a cosine, or when the loss stands still) lets the loss come to rest.]] },
  { name = "optimisers", title = "Optimisers", text = [[
    Eight optimisers on three surfaces of two parameters, each with the rate that brings it lowest. Along a narrow
    valley momentum adds up what small steps have in common; at a saddle the slope is nearly 0, and who divides by the
    size of the slopes leaves it soonest. LBFGS, which learns how the surface bends, needs the fewest steps to the
    bottom of both valleys; it wants the whole gradient for that, which mini-batches do not give.]] },
  { name = "sample_size", title = "How many examples are enough", text = [[
    Errors on the examples that were learnt and on others, against the number of examples, over several repetitions.
    With few examples a machine fits them better than it fits the rest of the world; as the number grows the two
    errors approach each other, and what is left of both is the noise of the data and the stiffness of the model.]] },
  { name = "regularisation", title = "Over-fitting, and what is done against it", text = [[
    A network with far more parameters than points learns the noise of its points by heart: its loss falls and falls,
    and on other points it grows. Weight decay, dropout, batch norm and stopping early all learn less by heart and more
    of what is common to all points; so does the same network with ten times the points.]] },
  { name = "activations", title = "Activations and depth", text = [[
    Without an activation a deep network is a linear one and cannot learn rings. A sigmoid's slope is at most 1/4, so
    that gradients shrink from layer to layer on their way back; tanh and ReLU, with weights of the right size, let
    them through. A step function has slope 0 wherever it has one: hidden layers get no gradient and do not move.]] },
  { name = "losses", title = "Squared error and cross-entropy", text = [[
    The gradients of both losses, checked against automatic differentiation. Under squared error a confident mistake
    has almost no gradient, as the slope of the sigmoid multiplies it; cross-entropy cancels that slope and pulls with
    p - t. Computed by hand from exponentials it overflows, which is why softmax and logarithm are one operation.]] },
  { name = "backprop_cost", title = "What backpropagation saves", text = [[
    The gradients of all layers in one pass back, against one pass for each layer alone. Both give the same numbers.
    Counted operations grow in proportion to the depth with backpropagation, and with its square without: the price
    of not sharing what lies behind.]] },
  { name = "gradients", title = "Three ways to a gradient", text = [[
    Derived by hand, by automatic differentiation, and by differences of the loss. The first two agree to the last
    digits. Differences are a good check and a poor method: a long step is not yet the slope, a short one subtracts
    numbers whose digits are nearly all the same, and each parameter costs two evaluations.]] },
  { name = "model_selection", title = "Choosing a model", text = [[
    A grid of networks is trained on one part of the points, chosen by a second and judged by a third. When the test
    set does the choosing it can no longer judge: the score of the winner holds its luck as well. Fresh points in
    great number show how much of it was luck. And training can stop where the dev set no longer gains.]] },
  { name = "svm", title = "Support vector machines", text = [[
    Kernels, C and gamma on two moons: small C and small gamma give a stiff boundary on many support vectors, large
    gamma one that winds around single points. Regression with a tube ignores errors smaller than epsilon, and a
    wider tube leaves fewer support vectors. A one-class machine leaves at most a share nu of its points outside.]] },
  { name = "mnist", title = "Handwritten digits", text = [[
    A network of one hidden layer and a support vector machine on images of digits: MNIST when its files are given
    with --data, else digits that are generated. Which digits are taken for which, the ones that the network gets
    wrong, and what its first layer looks at.]], arguments = digits },
  { name = "conv", title = "Convolutions and pooling", text = [[
    A convolution moves small kernels over an image: the same few numbers look everywhere. Written by hand over slices
    and as one operation it gives the same sums. On digits, networks of convolutions make fewer errors than dense ones
    of as many parameters, or of ten times as many. Digits that are shifted after learning are lost to dense layers, and
    to convolutions without pools; the more a network pools, the less it minds where one stands.]],
    arguments = digits },
  { name = "sequence", title = "Remembering: recurrent layers and attention", text = [[
    Which symbol did a sequence begin with, however many others came behind it? At each step backwards the gradient of
    a new recurrent layer shrinks by about the same factor, so that soon nothing is left to learn from. An LSTM whose
    forget gates begin open keeps it; attention looks back at all steps at once, and takes longer for each.]] },
}

local arguments = {}
if o.quick then arguments[1] = "--quick" end
if o.plots == "no" then arguments[#arguments + 1] = "--plots=no" end
local failed, path = peri.script.try(peri.report, {
  title = "Perilune: experiments in gradient descent and support vector machines",
  about = "Each section is a short script: what it printed, what it drew, and, behind a fold, how it is written. "
    .. (o.jobs > 1 and "Seconds were measured while other scripts ran beside it." or ""),
  scripts = scripts, folder = arg[0]:match "^(.*)/" or ".", out = o.out, at_once = o.jobs,
  arguments = arguments,
})
print("page: " .. path)
if #failed > 0 then
  io.stderr:write("report.lua: failed: ", table.concat(failed, ", "), "\n")
  os.exit(1, true)
end
