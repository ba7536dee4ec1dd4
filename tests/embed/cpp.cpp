// A C++17 program: a model that scores, with owners for what is to be released.
//   cpp MODEL x1 x2 ...
#include <perilune/model.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

template <auto release>
struct releaser {
  template <class T>
  void operator()(T *owned) const { release(&owned); }
};
using context = std::unique_ptr<peri_context, releaser<peri_context_release>>;
using model = std::unique_ptr<peri_model, releaser<peri_model_release>>;
using scorer = std::unique_ptr<peri_scorer, releaser<peri_scorer_release>>;

static model load(const std::string &path) {
  peri_context *made = nullptr;
  peri_model *read = nullptr;
  if (peri_context_new(nullptr, &made) != PERI_OK) throw std::bad_alloc();
  const context owner(made);
  if (peri_model_load(made, path.c_str(), &read) != PERI_OK) throw std::runtime_error(peri_message(made));
  return model(read);
}

static std::vector<double> score(scorer &s, const model &m, const std::vector<float> &row) {
  if (static_cast<std::int64_t>(row.size()) != peri_model_inputs(m.get()))
    throw std::runtime_error("a row of another length");
  std::vector<double> out(static_cast<std::size_t>(peri_model_outputs(m.get())));
  if (peri_score(s.get(), PERI_FLOAT32, 1, row.data(), 0, out.data()) != PERI_OK)
    throw std::runtime_error(peri_scorer_message(s.get()));
  return out;
}

int main(int argc, char **argv) try {
  if (argc < 3) throw std::runtime_error("usage: cpp MODEL x1 x2 ...");
  const model m = load(argv[1]);
  peri_scorer *made = nullptr;
  if (peri_scorer_new(m.get(), 1, &made) != PERI_OK) throw std::bad_alloc();
  scorer s(made);
  std::vector<float> row;
  for (int i = 2; i < argc; i++) row.push_back(std::strtof(argv[i], nullptr));
  const std::vector<double> scores = score(s, m, row);
  std::printf("%s:", peri_model_kind(m.get()));
  for (const double value : scores) std::printf(" %.4f", value);
  std::printf("\n");
} catch (const std::exception &problem) {
  std::fprintf(stderr, "cpp: %s\n", problem.what());
  return 1;
}
