// The prose half of the synthetic texts: a plot is three short lists of sentences, and the people, things and places
// drawn at its start recur by name to its end.
#include <fmt/format.h>

#include <array>

#include "data/tasks/synthetic_writer.h"

namespace qad::synthetic {
namespace {

struct Person {
  std::string name, he, his, him;
};

Person person(Writer& writer, std::string_view other_than = "") {
  for (;;) {
    const bool is_girl = writer.chance(0.5);
    const std::string& name = writer.word(is_girl ? Words::girls : Words::boys);
    if (name != other_than) return is_girl ? Person{name, "she", "her", "her"} : Person{name, "he", "his", "him"};
  }
}

std::string capitalised(std::string text) {
  if (text.front() >= 'a' && text.front() <= 'z') text.front() = static_cast<char>(text.front() - 'a' + 'A');
  return text;
}

// What the sentences of one story speak of.
struct Cast {
  Person hero, other;
  std::string kind, thing, food, adjective, adjective2, colour, place, place2, spot;

  explicit Cast(Writer& w)
      : hero(person(w)),
        other(person(w, hero.name)),
        kind(w.chance(0.6) ? w.word(Words::animals) : w.word(Words::jobs)),
        thing(w.word(Words::things)),
        food(w.word(Words::foods)),
        adjective(w.word(Words::adjectives)),
        adjective2(w.word(Words::adjectives)),
        colour(w.word(Words::colours)) {
    const auto places = w.different(Words::places, 2);
    place = places[0], place2 = places[1];
    spot = w.word(Words::spots);
  }
};

// Words that are new in every sentence. Drawn one statement after the other, here as everywhere in these files: the
// order in which a call evaluates its arguments is the compiler's, and the texts must not depend on it.
struct FreshWords {
  std::string feeling, feeling2, time, weather, action, adverb, sound, exclamation, topic;
  std::int64_t number;

  explicit FreshWords(Writer& w) {
    const auto feelings = w.different(Words::feelings, 2);
    feeling = feelings[0], feeling2 = feelings[1];
    time = w.word(Words::times);
    weather = w.word(Words::weather);
    action = w.word(Words::actions);
    adverb = w.word(Words::adverbs);
    sound = w.word(Words::sounds);
    exclamation = w.word(Words::exclamations);
    topic = w.word(Words::topics);
    number = w.number(2, 12);
  }
};

// The sentence with its {slots} filled.
std::string told(std::string_view sentence, const Cast& cast, Writer& w) {
  const FreshWords fresh(w);
  return fmt::format(fmt::runtime(sentence), fmt::arg("hero", cast.hero.name), fmt::arg("he", cast.hero.he),
                     fmt::arg("He", capitalised(cast.hero.he)), fmt::arg("his", cast.hero.his),
                     fmt::arg("him", cast.hero.him), fmt::arg("friend", cast.other.name),
                     fmt::arg("friend_he", cast.other.he), fmt::arg("kind", cast.kind), fmt::arg("thing", cast.thing),
                     fmt::arg("food", cast.food), fmt::arg("a_food", with_article(cast.food)),
                     fmt::arg("adj", cast.adjective), fmt::arg("an_adj", with_article(cast.adjective)),
                     fmt::arg("adj2", cast.adjective2), fmt::arg("colour", cast.colour),
                     fmt::arg("a_colour", with_article(cast.colour)), fmt::arg("place", cast.place),
                     fmt::arg("place2", cast.place2), fmt::arg("spot", cast.spot), fmt::arg("feeling", fresh.feeling),
                     fmt::arg("time", fresh.time), fmt::arg("weather", fresh.weather), fmt::arg("acted", fresh.action),
                     fmt::arg("how", fresh.adverb), fmt::arg("sound", fresh.sound), fmt::arg("oh", fresh.exclamation),
                     fmt::arg("topic", fresh.topic), fmt::arg("n", fresh.number), fmt::arg("feeling2", fresh.feeling2));
}

using Lines = std::array<std::string_view, 6>;

constexpr std::array<std::string_view, 10> kOpenings = {
    "{hero} the {adj} {kind} lived {place}.",
    "{time}, {hero} the {kind} was {feeling}.",
    "There was {an_adj} {kind} called {hero}.",
    "It was {weather} {place}, and {hero} {acted} {how}.",
    "{hero} and {friend} {acted} {place}.",
    "{time} it was {weather}. {hero} sat {place}.",
    "{hero} had {a_colour} {thing}. {He} kept it {spot}.",
    "For {n} years {hero} had lived {place} with {an_adj} {kind}.",
    "Nobody {place} was as {adj} as {hero} the {kind}.",
    "{friend} told {hero} about {topic}.",
};

struct Plot {
  Lines trouble, turn, ending;
};

constexpr std::array<Plot, 5> kPlots = {{
    {{"Then {he} lost {his} {colour} {thing}.", "But {his} {thing} was gone!",
      "{He} could not find the {colour} {thing}.", "A thief took {his} {adj2} {thing}.",
      "\"Where is my {thing}?\" said {hero}.", "{hero} dropped the {thing} {place2}."},
     {"{friend} found the {thing} {spot}.", "\"{oh}! The {colour} {thing} is {spot},\" said {friend}.",
      "{friend} looked {place2}, and there was the {thing}.", "\"Is this your {thing}?\" asked {friend} {how}.",
      "They looked {place2} and {spot}.", "{hero} and {friend} searched {how}, but only found {a_food}."},
     {"{hero} was {feeling} and gave {friend} {a_food}.", "Then {hero} went home with the {thing}.",
      "\"Thank you, {friend},\" said {hero}.", "After that {he} kept the {colour} {thing} {spot}.",
      "{hero} {acted} {how}.", "The {thing} was {adj2}, but {hero} was {feeling}."}},
    {{"{He} heard a {sound} {place2}.", "A {sound} woke {him}.", "Suddenly there was a {sound}, and {hero} {acted}.",
      "\"{oh}!\" cried a voice {place2}.", "Something {acted} {spot}.", "There was a {sound} {spot}, then a {sound}."},
     {"It was {friend}, who had fallen {place2}.", "{hero} took the {thing} and went to look.",
      "There sat {friend}, {feeling} and {feeling2}.", "\"It is only me, {friend},\" said the voice.",
      "\"Who is there?\" asked {hero} {how}.", "{He} found {an_adj} {thing} and nothing else."},
     {"{hero} helped {friend}, and they {acted} {how}.", "They shared {a_food} and spoke of {topic}.",
      "\"{oh}, {hero},\" said {friend}.", "From then on {hero} was never {feeling} {place2}.",
      "{friend} gave {hero} the {colour} {thing}.", "So {hero} went home and {acted}."}},
    {{"{He} wanted to bake {a_food} for {friend}.", "{friend} asked {him} for {a_food}.",
      "{hero} was hungry and had only one {food}.", "There was no {food} left {place}.",
      "\"I dream of {a_food},\" said {friend}.", "{hero} sold the {thing} for {n} {food}s."},
     {"So {hero} waited {place2} with {his} {thing}.", "\"You can have my {food},\" said {friend}.",
      "{He} cut the {food} in two.", "But the {food} was {adj2} and {colour}.",
      "{hero} {acted} {how} and came back with {n} {food}s.", "\"{oh}, the {food}!\" cried {friend}."},
     {"They ate the {food} {how}.", "{friend} was {feeling}, and so was {hero}.",
      "\"It is {adj2},\" said {friend}. {hero} {acted}.", "Half of the {food} was for {friend}.",
      "{hero} put the last {food} {spot}.", "And {hero} never ate {a_food} again."}},
    {{"{He} made a promise to {friend}.", "\"Meet me {place2},\" wrote {friend}.", "{friend} bet {n} coins on {topic}.",
      "{hero} and {friend} quarrelled about {topic}.", "A letter from {friend} came. {hero} was {feeling}.",
      "{friend} wanted to see {topic} once."},
     {"{hero} waited {place2} for {n} hours.",
      "\"You are {feeling},\" said {friend}. \"No, I am {feeling2},\" said {hero}.",
      "{hero} brought {a_colour} {thing} with {him}.", "It was {weather}, and the road was {adj2}.",
      "\"{oh},\" said {hero}, \"I know {topic}.\"", "{friend} {acted} and said nothing."},
     {"Then {friend} came, and they {acted} {how}.", "In the end {hero} was right about {topic}.",
      "{hero} and {friend} are friends to this day.", "\"{oh},\" said {friend}, and {friend_he} {acted}.",
      "{hero} gave the {thing} to {friend}.", "But {friend} had gone {place}."}},
    {{"{He} built {an_adj} {thing}.", "{He} found {a_colour} {thing} {place2}.",
      "An old {kind} sold {him} {a_colour} {thing}.", "In {his} hand was {a_colour} {thing}.",
      "{hero} dreamed of {a_colour} {thing}.", "{friend} gave {him} {a_colour} {thing}."},
     {"The {thing} was {adj2}, and it {acted}!", "\"What is it?\" asked {friend}. \"My {thing},\" said {hero}.",
      "It was the {thing} of the king.", "{He} hid the {colour} {thing} {spot}.",
      "\"{oh}! That {thing} is mine,\" said {friend}.", "With the {thing} {he} {acted} {how}."},
     {"So the {colour} {thing} stayed {spot}.", "{hero} sold it to {friend} for {n} coins.",
      "Now {friend} has the {colour} {thing}.", "\"Keep the {thing},\" said {friend}, {feeling}.",
      "And the {thing} was never seen again.", "{hero} {acted}. The {thing} {acted} too."}},
}};

std::string plotted(Writer& w) {
  const Cast cast(w);
  const Plot& plot = w.any(std::span<const Plot>(kPlots));
  std::string text = told(w.any(std::span<const std::string_view>(kOpenings)), cast, w);
  for (const Lines* lines : {&plot.trouble, &plot.turn, &plot.ending})
    text.append(" ").append(told(w.any(std::span<const std::string_view>(*lines)), cast, w));
  return text;
}

// Objects come and go, and the last sentence has the right count.
std::string counting(Writer& w) {
  const Person hero = person(w), other = person(w, hero.name);
  const bool is_food = w.chance(0.5);
  const std::string thing = w.word(is_food ? Words::foods : Words::things);
  const std::string item = w.chance(0.5) ? w.word(Words::colours) + " " + thing : thing;
  std::int64_t count = w.number(3, 20);
  std::string text = fmt::format("{} had {} {}.", hero.name, counted(count, item), w.word(Words::places));
  const std::int64_t changes = w.number(1, 3);
  for (std::int64_t i = 0; i < changes; ++i) {
    const bool gains = count < 3 || w.chance(0.5);
    const std::int64_t change = gains ? w.number(1, 9) : w.number(1, count - 1);
    count += gains ? change : -change;
    const std::string_view gain = w.any({" {0} bought {1} more.", " {0} found {1} {3}.", " Then {2} brought {1}."});
    const std::string_view loss = w.any({" {0} gave {1} to {2}.", " {0} lost {1} of them.", " Then {2} took {1}."});
    text +=
        fmt::format(fmt::runtime(gains ? gain : loss), capitalised(hero.he), change, other.name, w.word(Words::spots));
  }
  return text + fmt::format(" Now {} has {}.", hero.name, counted(count, item));
}

// A thing is carried about; the question asks where it ended.
std::string moving(Writer& w) {
  const auto things = w.different(Words::things, 2);
  const auto spots = w.different(Words::spots, 4);
  const Person first = person(w), second = person(w, first.name);
  std::string text = fmt::format("{} put the {} {}. {} put the {} {}.", first.name, things[0], spots[0], second.name,
                                 things[1], spots[1]);
  const std::size_t moved = w.chance(0.5) ? 0 : 1;
  std::array<std::string, 2> now = {spots[0], spots[1]};
  now[moved] = spots[2];
  text += fmt::format(" {} moved the {} and left it {}.", w.chance(0.5) ? first.name : second.name, things[moved],
                      now[moved]);
  if (w.chance(0.4)) {
    now[1 - moved] = spots[3];
    text += fmt::format(" {} hid the {} {}.", second.name, things[1 - moved], now[1 - moved]);
  }
  const std::size_t asked = w.chance(0.5) ? 0 : 1;
  return text + fmt::format(" Where is the {}? It is {}.", things[asked], now[asked]);
}

// Questions about what was said a line earlier.
std::string dialogue(Writer& w) {
  const Cast cast(w);
  const std::string a = cast.hero.name, b = cast.other.name;
  std::string text = fmt::format("{}: I saw {} {} {}.\n", a, with_article(cast.adjective), cast.kind, cast.place);
  text += fmt::format("{}: {}\n", b, w.any({"What did it carry?", "Did it carry anything?", "And what did you do?"}));
  text += fmt::format("{}: It had {} {}. I {}.\n", a, with_article(cast.colour), cast.thing, w.word(Words::actions));
  switch (w.number(0, 2)) {
    case 0: return text + fmt::format("{}: What colour was the {}?\n{}: It was {}.", b, cast.thing, a, cast.colour);
    case 1: return text + fmt::format("{}: Where was the {}?\n{}: It was {}.", b, cast.kind, a, cast.place);
    default:
      return text + fmt::format("{}: {}, {}! Was the {} {}?\n{}: Yes, very.", b, w.word(Words::exclamations), a,
                                cast.kind, cast.adjective, a);
  }
}

std::string letter(Writer& w) {
  const Cast cast(w);
  const std::string_view greeting =
      w.any({"Thank you for your letter.", "I hope you are well.", "Much has happened here."});
  const std::string news = told(w.any({"I was {feeling} about {topic}. The {adj} {kind} {acted} {how}.",
                                       "I was {feeling} about {topic}. I found {a_colour} {thing} {place}.",
                                       "I was {feeling} about {topic}. Here it is {weather}."}),
                                cast, w);
  return fmt::format("Dear {0},\n{1} {2}\nYours, {3}\nP.S. {0}, the {4} is {5}.", cast.other.name, greeting, news,
                     cast.hero.name, cast.thing, cast.spot);
}

// Who is taller, older, …: an order told in pieces.
std::string comparing(Writer& w) {
  const auto names = w.different(w.chance(0.5) ? Words::girls : Words::boys, 3);
  constexpr std::array<std::array<std::string_view, 3>, 5> kMeasures = {{{"taller", "tallest", "shortest"},
                                                                         {"older", "oldest", "youngest"},
                                                                         {"faster", "fastest", "slowest"},
                                                                         {"richer", "richest", "poorest"},
                                                                         {"stronger", "strongest", "weakest"}}};
  const auto& [more, most, least] = w.any(std::span<const std::array<std::string_view, 3>>(kMeasures));
  const std::string upper = fmt::format("{} is {} than {}.", names[0], more, names[1]);
  const std::string lower = fmt::format("{} is {} than {}.", names[1], more, names[2]);
  const bool in_order = w.chance(0.5);
  return fmt::format("{} {} Who is the {}? {}. Who is the {}? {}.", in_order ? upper : lower, in_order ? lower : upper,
                     most, names[0], least, names[2]);
}

}  // namespace

std::string story(Writer& w) {
  const std::int64_t kind = w.number(0, 99);
  if (kind < 55) return plotted(w);
  if (kind < 67) return counting(w);
  if (kind < 79) return moving(w);
  if (kind < 88) return dialogue(w);
  if (kind < 94) return letter(w);
  return comparing(w);
}

}  // namespace qad::synthetic
