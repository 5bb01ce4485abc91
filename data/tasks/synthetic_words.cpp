// The word lists of the synthetic texts, most frequent words first, and the little grammar that every text needs.
// Two words joined by _ are one entry.
#include <algorithm>
#include <array>
#include <vector>

#include "autograd/base/error.h"
#include "data/tasks/synthetic_writer.h"

namespace qad::synthetic {
namespace {

// clang-format off
constexpr std::array<std::string_view, static_cast<std::size_t>(Words::count_)> kLists = {
    // girls
    "Mia Anna Lena Rosa Clara Nora Ida Ella Maya Zoe Ruth Alma Vera Iris Tilda Greta Hana Yuki Amara Leila Sofia Nina "
    "Edith Petra Olga Wilma Frida Dora Selma Judit Kaia Noor Priya Ximena Brigit Una Thea Lotte",
    // boys
    "Tom Ben Max Leo Sam Finn Otto Paul Emil Jonas Hugo Karl Omar Ravi Kenji Ivan Luis Noah Felix Oscar Bruno Anton "
    "Milo Theo Walter Jakob Dario Elias Arvid Boris Cyrus Diego Ezra Goran Hamid Jorge Kofi Quentin",
    // animals
    "dog cat bear fox mouse rabbit bird duck horse frog owl goat sheep wolf hen pig cow lion tiger snail turtle bee "
    "hedgehog squirrel badger otter crow swan beaver camel deer donkey eagle elephant falcon ferret gecko heron ibis "
    "jackal koala lizard magpie newt octopus panda quail raven seal toad vole walrus yak zebra",
    // jobs
    "baker farmer teacher sailor doctor painter miller cook tailor gardener pilot singer driver smith carpenter nurse "
    "weaver hunter judge clerk potter mason shepherd porter printer astronomer barber dancer engineer fisher guard "
    "herald innkeeper juggler librarian mayor navigator organist poet ranger surgeon violinist watchmaker",
    // adjectives
    "old little big small young kind brave clever tired happy strange quiet lonely warm cold soft heavy tiny shiny round "
    "broken clean dusty empty famous gentle hungry ancient bright careful dry easy fine golden hollow icy jolly lazy "
    "loud modest narrow orderly plain proud quick rough silent simple smooth sturdy tall tender thick thin ugly velvet "
    "wild wise wooden wrinkled nervous polite stubborn curious grumpy patient restless shabby sleepy graceful",
    // colours
    "red blue green white black yellow brown grey pink purple orange silver amber crimson violet turquoise",
    // things
    "key ball book hat coin stone lamp cup rope bell drum box letter map kite button candle ring clock shoe basket boat "
    "spoon mirror feather ribbon needle bottle hammer wheel blanket pencil whistle shell jar umbrella acorn anchor apron "
    "arrow badge bucket chain compass crown doll envelope fiddle flag glove helmet iron jewel kettle ladder marble nail "
    "oar parcel quilt racket saddle teapot urn vase wagon yarn zipper lantern telescope magnet puppet barrel",
    // foods
    "apple pear cake plum egg carrot bun nut fig lemon pie onion melon cookie pancake potato radish turnip olive peach "
    "apricot bean biscuit beet chestnut date dumpling grape kiwi lime muffin noodle orange pea pretzel quince roll "
    "sausage tart walnut",
    // places
    "in_the_garden in_the_forest at_the_market by_the_river in_the_village on_the_hill at_the_harbour in_the_kitchen "
    "near_the_old_mill at_school in_the_library on_the_beach in_the_castle at_the_station by_the_lake in_the_barn "
    "on_the_island in_the_attic behind_the_church under_the_bridge in_the_valley at_the_bakery in_the_desert on_the_roof "
    "at_the_inn in_the_museum by_the_well in_the_orchard on_the_train at_the_fair in_the_cellar near_the_lighthouse "
    "in_the_tower across_the_meadow at_the_crossroads beside_the_waterfall",
    // spots
    "in_the_drawer on_the_table under_the_bed on_the_shelf in_the_box behind_the_door in_the_basket under_the_tree "
    "in_the_pocket on_the_chair in_the_oven under_the_rug on_the_window in_the_chest behind_the_clock in_the_bag "
    "on_the_fence in_the_well under_the_stairs in_the_sack beside_the_stove inside_the_piano",
    // actions
    "danced sang laughed waited slept walked ran worked played jumped wept whistled listened climbed swam rested dreamed "
    "smiled shouted whispered wandered knelt nodded shivered sneezed stumbled trembled yawned hummed hid",
    // adverbs
    "slowly quickly quietly happily sadly alone together softly loudly carefully bravely gladly all_day all_night "
    "for_an_hour again at_last gently eagerly calmly politely proudly suddenly without_a_word nervously",
    // feelings
    "happy sad tired hungry afraid angry proud glad sleepy curious lonely cold thirsty worried bored surprised ashamed "
    "grateful hopeful jealous cheerful puzzled relieved impatient",
    // times
    "One_day One_morning One_evening One_night Last_week Yesterday In_spring In_summer In_autumn In_winter At_noon "
    "At_dawn On_Sunday On_Monday On_Friday Long_ago Before_supper After_the_storm At_midnight During_the_feast",
    // weather
    "cold warm rainy sunny windy dark snowy foggy stormy cloudy hot misty frosty humid grey",
    // sounds
    "bang splash knock whisper song cry whistle bell crack roar thud hiss rumble squeak buzz",
    // exclamations
    "Oh_no Look Come_here Thank_you Wait Help Well_done Good_morning Listen Hurry Of_course Never_mind Be_careful",
    // topics
    "the_sea the_moon winter the_harvest old_songs the_stars the_war the_king dragons trains money the_weather bread "
    "their_mothers the_wedding ghosts the_election chess the_north the_flood",
};
// clang-format on

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    std::string entry(list.substr(0, end));
    std::replace(entry.begin(), entry.end(), '_', ' ');
    out.push_back(std::move(entry));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return out;
}

}  // namespace

std::span<const std::string> words(Words list) {
  static const auto kSplit = [] {
    std::array<std::vector<std::string>, kLists.size()> lists;
    for (std::size_t i = 0; i < kLists.size(); ++i) lists[i] = split(kLists[i]);
    return lists;
  }();
  return kSplit[static_cast<std::size_t>(list)];
}

std::vector<std::string> Writer::different(Words list, std::int64_t count) {
  QAD_ASSERT(count <= static_cast<std::int64_t>(words(list).size()));
  std::vector<std::string> out;
  while (static_cast<std::int64_t>(out.size()) < count)
    if (const std::string& next = word(list); std::find(out.begin(), out.end(), next) == out.end()) out.push_back(next);
  return out;
}

std::string with_article(std::string_view words) {
  const bool is_vowel = std::string_view("aeiouAEIOU").find(words.front()) != std::string_view::npos;
  return std::string(is_vowel ? "an " : "a ").append(words);
}

std::string counted(std::int64_t count, std::string_view singular) {
  return std::to_string(count).append(" ").append(singular).append(count == 1 ? "" : "s");
}

}  // namespace qad::synthetic
