// Paths, what is below them, and methods.
#include "net/router.h"

#include <gtest/gtest.h>

namespace hearth::net {
namespace {

constexpr Route kRoutes[] = {{"GET", "/", 0}, {"GET", "/v1/models", 1}, {"GET", "/v1/models/*", 2},
                             {"POST", "/v1/chat", 3}};

TEST(Router, FindsPathsAndWhatIsBelow) {
  EXPECT_EQ(match_route(kRoutes, "GET", "/").id, 0);
  EXPECT_EQ(match_route(kRoutes, "GET", "/v1/models/").id, 1);
  EXPECT_EQ(match_route(kRoutes, "HEAD", "/v1/models").id, 1);
  const RouteMatch below = match_route(kRoutes, "GET", "/v1/models/org%2Fname/x%20y");
  EXPECT_EQ(below.id, 2);
  EXPECT_EQ(below.rest, "org/name/x y");
}

TEST(Router, SaysWhichMethodsThereAre) {
  const RouteMatch wrong = match_route(kRoutes, "DELETE", "/v1/models");
  EXPECT_EQ(wrong.kind, RouteMatch::Kind::kNoMethod);
  EXPECT_EQ(wrong.allowed, "GET, HEAD");
  EXPECT_EQ(match_route(kRoutes, "GET", "/v1/chat").allowed, "POST");
}

TEST(Router, NoPath) {
  for (const char* path : {"", "/v1", "/v1/models/%zz", "/v1/modelsx"}) {
    EXPECT_EQ(match_route(kRoutes, "GET", path).kind, RouteMatch::Kind::kNoPath) << path;
  }
}

}  // namespace
}  // namespace hearth::net
