// A run that several ranks work on: before it starts they make sure that it is one run, and what only one may do is the
// first rank's.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "qad/recipe/recipe.h"

namespace qad {

/// Names of things and what each rank has of them: a text, a number, a hash.
using SharedFacts = std::vector<std::pair<std::string, std::string>>;
/// Throws Error, on all ranks alike, that names the first fact that is not the same everywhere, and where it differs.
/// Called by all together, as are all of these.
void check_same(const SharedFacts& facts);

/// That they have the same recipe, folder, program and working folder, that their CPUs compute the same bits, and that
/// the recipe's step can be divided: more ranks than shards are named; with one shard they are an Error.
void check_one_run(const Recipe& recipe, const std::filesystem::path& folder);

/// Threads of this rank: as many as `asked`, or else the cores that it may use, divided among the ranks of this machine
/// that may use the same ones. Warns where a launcher has bound ranks to fewer cores than there are for them.
void set_threads_of_rank(std::int64_t asked);

/// The first rank does it; an Error of it is all ranks'.
void first_does(const std::function<void()>& work);
/// The same for long work that others wait for without a limit, in which the first rank is as if alone.
void first_does_alone(const std::function<void()>& work);
/// Whether the file is there, as the first rank sees it.
[[nodiscard]] bool first_has(const std::filesystem::path& file);

/// Throws Error where others don't see what the first rank has written in the run's folder.
void check_shared_folder(const std::filesystem::path& file_of_the_first);

}  // namespace qad
