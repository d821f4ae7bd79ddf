#include "fabric/admin/error_metadata.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "fabric/base/error.h"
#include "tests/unit/ctl/fake_admin.h"

namespace selvage::ctl {
namespace {

// Over a real connection: what the server makes of an error must arrive whole.
absl::Status Travel(const absl::Status& error, bool* has_trailers = nullptr) {
  FakeAdmin node;
  node.Start();
  node.digest_error = error;
  auto channel = grpc::CreateChannel(node.address(), grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  v1::ReadDigestsResponse response;
  grpc::Status status =
      v1::Admin::NewStub(channel)->ReadDigests(&context, v1::ReadDigestsRequest(), &response);
  if (has_trailers != nullptr) *has_trailers = HasErrorTrailers(context);
  return FromTrailers(status, context);
}

TEST(ErrorMetadataTest, EveryPartOfAnErrorArrives) {
  absl::Status sent =
      MakeError(absl::StatusCode::kResourceExhausted, "disk_full", "voll: 10 GiB von 10 GiB – nichts geht",
                "größeres Budget\nor wait", Retry::kYes);
  absl::Status got = Travel(sent);
  EXPECT_EQ(got.code(), sent.code());
  EXPECT_EQ(got.message(), sent.message());
  EXPECT_EQ(ErrorKind(got), "disk_full");
  EXPECT_EQ(ErrorHint(got), ErrorHint(sent));
  EXPECT_TRUE(IsRetryable(got));
}

// It may be a peer's word. In metadata it would end the process.
TEST(ErrorMetadataTest, AKindThatIsNoWordTravelsAsAnother) {
  for (const std::string kind : {"a\nb", "caf\xc3\xa9"}) {
    EXPECT_EQ(ErrorKind(Travel(MakeError(absl::StatusCode::kInternal, kind, "odd"))), "other") << kind;
  }
}

TEST(ErrorMetadataTest, ARefusalThatStaysIsNotRetryable) {
  absl::Status got = Travel(MakeError(absl::StatusCode::kUnavailable, "stopping", "no"));
  EXPECT_FALSE(IsRetryable(got));
  EXPECT_EQ(ErrorHint(got), "");
}

TEST(ErrorMetadataTest, LongTextIsCutAndStillArrives) {
  absl::Status got = Travel(
      MakeError(absl::StatusCode::kInternal, "k", std::string(100000, '\xc3'), std::string(100000, 'h')));
  EXPECT_EQ(ErrorKind(got), "k");
  EXPECT_EQ(got.message().size(), 1024u);
  EXPECT_EQ(ErrorHint(got).size(), 1024u);
}

TEST(ErrorMetadataTest, AnErrorOfTheConnectionHasNoKindOfItsOwn) {
  bool has_trailers = true;
  absl::Status got = Travel(BareError(absl::StatusCode::kUnavailable, "socket closed"), &has_trailers);
  EXPECT_FALSE(has_trailers);
  EXPECT_EQ(ErrorKind(got), "unavailable");
  EXPECT_EQ(got.message(), "socket closed");
}

}  // namespace
}  // namespace selvage::ctl
