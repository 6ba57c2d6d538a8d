// Where Hearth keeps its files: the XDG base directories.
#pragma once

#include <filesystem>
#include <string>

namespace hearth::cli {

std::filesystem::path config_file();   // $HEARTH_CONFIG, else $XDG_CONFIG_HOME/hearth/hearth.toml.
std::filesystem::path data_folder();   // $XDG_DATA_HOME/hearth: what must not be lost.
std::filesystem::path ledger_file();   // ledger.db in the data folder.
std::filesystem::path calibration_folder();  // calibration in the data folder: when asking pays.
std::filesystem::path advice_file();    // advice.db in the data folder: remembered advice, deferred questions.
std::filesystem::path consents_file();  // consents.jsonl in the data folder: what may leave by rule.
std::filesystem::path conversations_folder();  // conversations in the data folder: what the page was told to keep.
std::filesystem::path pulled_folder();  // models in the data folder: what `models pull` fetched.
std::filesystem::path store_folder();   // store in the data folder: what `models import` keeps.
std::filesystem::path cache_folder();  // $XDG_CACHE_HOME/hearth: what can be made again.
std::filesystem::path snapshot_folder();  // snapshots in the cache folder: prefixes' keys and values.
std::filesystem::path state_folder();  // $XDG_STATE_HOME/hearth: the running hub's pid and log, lines of `hearth chat`.

// "~/models" as a shell reads it.
std::string expand_home(const std::string& path);

}  // namespace hearth::cli
