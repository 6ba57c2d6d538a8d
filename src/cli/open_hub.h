// A hub as the configuration asks for it, in this process.
#pragma once

#include <memory>

#include "advisor/consent.h"
#include "advisor/memory/advice_store.h"
#include "base/result.h"
#include "cli/config.h"
#include "hub/hub.h"
#include "hub/privacy_gate.h"

namespace hearth::cli {

// kInvalidArgument for settings that contradict one another; else the errors of hub::create_hub.  `consents`: where
// others ask for consent, too; null: the hub has a desk of its own.
Result<std::unique_ptr<hub::Hub>> open_hub(const Config& config,
                                           std::shared_ptr<advisor::ConsentDesk> consents = nullptr);

// What may leave, and how.  A policy that fails its own checks is an error: it would not do what its author
// thinks.
Result<hub::PrivacyOptions> privacy_options(const Config::Privacy& config);

// Where advice is remembered, and how.
advisor::AdviceStoreOptions advice_store_options(const Config::Advice& config);

}  // namespace hearth::cli
