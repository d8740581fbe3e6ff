"""Each rule about the protos fails where it should: small wrong protos, compiled by the real compiler.

The same for breaking.py, which judges changes of the protos where buf is not there.
"""

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.breaking import breaks
from tests.house import protos
from tests.house.image import Image, compile_protos
from tests.house.protos import ProtoRule
from tests.house.test_protos import cases, events
from tests.house.tree import ROOT, Module

HEAD = """
syntax = "proto3";
package modelog.toy.v1;
import "buf/validate/validate.proto";
import "google/protobuf/timestamp.proto";
import "modelog/type/v1/options.proto";
import "modelog/type/v1/quarantine.proto";
import "modelog/type/v1/read.proto";
"""
GOOD = """
// A service.
service ToyService {
  // Reads.
  rpc GetToy(GetToyRequest) returns (Toy) { option (modelog.type.v1.required_permission) = "toy.toys.get"; }
  // Lists.
  rpc ListToys(ListToysRequest) returns (ListToysResponse) {
    option (modelog.type.v1.required_permission) = "toy.toys.list";
  }
  // Writes.
  rpc CreateToy(CreateToyRequest) returns (CreateToyResponse) {
    option (modelog.type.v1.required_permission) = "toy.toys.create";
  }
  // Writes many.
  rpc PaintToys(stream PaintToysRequest) returns (stream CreateToyResponse) {
    option (modelog.type.v1.required_permission) = "toy.toys.paint";
  }
}
// One of many.
message PaintToysRequest {
  // Repeated safely, each by itself.
  string request_id = 11 [(buf.validate.field).string.max_len = 128];
  // Why this one.
  string reason = 12 [(buf.validate.field).string.max_len = 1024];
}
// A resource.
message Toy {
  // The header, one comment for the block.
  string name = 1;
  int64 generation = 2;
  int64 revision = 3;
  google.protobuf.Timestamp create_time = 4;
  google.protobuf.Timestamp update_time = 5;
  modelog.type.v1.Quarantine quarantine = 6;

  // Its own.
  string colour = 10;
}
// Asks.
message GetToyRequest {
  // Which.
  string name = 1 [(buf.validate.field).string.max_len = 512];
  // How fresh.
  modelog.type.v1.ReadOptions read = 2;
}
// Asks for many.
message ListToysRequest {
  // How many.
  int32 page_size = 1 [(buf.validate.field).int32 = {gte: 0, lte: 500}];
  // From where.
  string page_token = 2 [(buf.validate.field).string.max_len = 1024];
  // How fresh.
  modelog.type.v1.ReadOptions read = 3;
}
// Answers many.
message ListToysResponse {
  // The toys.
  repeated Toy toys = 1;
  // To go on.
  string next_page_token = 2;
}
// Asks for a new one.
message CreateToyRequest {
  // Repeated safely.
  string request_id = 1 [(buf.validate.field).string.max_len = 128];
  // Why.
  string reason = 2 [(buf.validate.field).string.max_len = 1024];
  // Its colour, #rrggbb.
  string colour = 3 [(buf.validate.field).string.pattern = "^#[0-9a-f]{6}$"];
  // Weights.
  repeated double weights = 4 [(buf.validate.field).repeated = {max_items: 9, items: {double: {finite: true}}}];
  // Who plays with it.
  string model = 6 [
    (buf.validate.field).string.max_len = 256,
    (modelog.type.v1.names) = NAMES_REFERENCE
  ];
  // Marks.
  map<string, string> marks = 5 [(buf.validate.field).map = {
    max_pairs: 9, keys: {string: {max_len: 9}}, values: {string: {max_len: 9}}
  }];
}
// For nobody.
message Spare {}
// Answers.
message CreateToyResponse {
  // Where in the log.
  int64 revision = 1;
}
"""

# What is wrong, by (rule, text of the good proto, what stands there instead).
BROKEN = [
    (protos.everything_is_documented, "// Its own.", ""),
    (protos.everything_is_documented, "// Reads.", ""),
    (protos.everything_is_documented, "// Answers many.", ""),
    (protos.everything_is_documented, "int64 generation = 2;", "\n  int64 generation = 2;"),
    (protos.every_method_has_a_permission, 'option (modelog.type.v1.required_permission) = "toy.toys.get";', ""),
    (protos.every_method_has_a_permission, "toy.toys.list", "list"),
    (protos.every_method_has_a_permission, "toy.toys.list", "registry.toys.list"),
    (protos.resources_have_the_header, "int64 generation = 2;", "int32 generation = 2;"),
    (protos.resources_have_the_header, "  int64 revision = 3;\n", ""),
    (protos.resources_have_the_header, "create_time = 4", "create_time = 14"),
    (protos.resources_have_the_header, "colour = 10", "colour = 7"),
    (protos.requests_are_reads_or_writes, "modelog.type.v1.ReadOptions read = 2;", ""),
    (protos.requests_are_reads_or_writes, "string request_id = 1", "string id = 1"),
    (protos.requests_are_reads_or_writes, "string reason = 2", "string why = 2"),
    (protos.requests_are_reads_or_writes, "string request_id = 11", "string id = 11"),
    (protos.requests_are_reads_or_writes, "string reason = 12", "string why = 12"),
    (protos.lists_have_pages, "int32 page_size = 1", "int32 size = 1"),
    (protos.lists_have_pages, "string page_token = 2", "string token = 2"),
    (protos.lists_have_pages, "repeated Toy toys = 1", "Toy toys = 1"),
    (protos.lists_have_pages, "next_page_token = 2", "next_page_token = 3"),
    (protos.requests_are_limited, "[(buf.validate.field).string.max_len = 512]", ""),
    (protos.requests_are_limited, "[(buf.validate.field).int32 = {gte: 0, lte: 500}]", ""),
    (protos.requests_are_limited, "[0-9a-f]{6}$", "[0-9a-f]+$"),
    (protos.requests_are_limited, "max_items: 9, ", ""),
    (protos.requests_are_limited, "finite: true", ""),
    (protos.requests_are_limited, "max_pairs: 9,", ""),
    (protos.requests_are_limited, "values: {string: {max_len: 9}}", ""),
    (protos.names_in_requests_are_marked, ",\n    (modelog.type.v1.names) = NAMES_REFERENCE", ""),
    (
        protos.names_in_requests_are_marked,
        "// Its colour, #rrggbb.",
        "// A colour such as `projects/risk/colours/red`.",
    ),
]

# Changes that break whoever uses the released proto, and some that do not.
BREAKING = [
    ("  string colour = 10;\n", ""),
    ("string colour = 10;", "string tint = 10;"),
    ("string colour = 10;", "bytes colour = 10;"),
    ("string colour = 10;", "repeated string colour = 10;"),
    ("string colour = 10;", "oneof look { string colour = 10; }"),
    ("rpc GetToy(GetToyRequest) returns (Toy)", "rpc GetToy(GetToyRequest) returns (stream Toy)"),
    ("rpc GetToy(GetToyRequest)", "rpc FetchToy(GetToyRequest)"),
    ("returns (CreateToyResponse)", "returns (Toy)"),
    ("// For nobody.\nmessage Spare {}\n", ""),
]
HARMLESS = [
    ("string colour = 10;", "string colour = 10;\n  string size = 11;"),
    ("// Its own.", "// Something else."),
    ("// Answers.", "// New.\nmessage New {}\n// Answers."),
]

Compile = Callable[[str], FileDescriptorSet]


def compile_toy(text: str, folder: Path) -> FileDescriptorSet:
    """The text as a proto of a service `toy` that sees the shared types."""
    shutil.copytree(ROOT / "protos" / "modelog" / "type", folder / "modelog" / "type")
    target = folder / "modelog" / "toy" / "v1" / "events.proto"
    target.parent.mkdir(parents=True)
    target.write_text(HEAD + text, encoding="utf-8")
    return compile_protos(folder, folder / "image.binpb")


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    return lambda text: compile_toy(text, tmp_path)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    """The good proto, compiled once."""
    return compile_toy(GOOD, tmp_path_factory.mktemp("good"))


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def test_a_good_proto_keeps_every_rule(good: FileDescriptorSet) -> None:
    image = Image(good)
    assert [sentence for rule in protos.RULES for sentence in rule(image)] == []


@pytest.mark.parametrize(("rule", "old", "new"), BROKEN)
def test_a_broken_rule_is_found(rule: ProtoRule, old: str, new: str, compiled: Compile) -> None:
    assert list(rule(Image(compiled(changed(old, new)))))


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(protos.RULES)


@pytest.mark.parametrize(("old", "new"), BREAKING)
def test_a_breaking_change_is_found(old: str, new: str, compiled: Compile, good: FileDescriptorSet) -> None:
    assert breaks(good, compiled(changed(old, new)))


@pytest.mark.parametrize(("old", "new"), HARMLESS)
def test_an_addition_breaks_nothing(old: str, new: str, compiled: Compile, good: FileDescriptorSet) -> None:
    assert breaks(good, compiled(changed(old, new))) == []


def test_facts_without_a_case_are_found(compiled: Compile) -> None:
    facts = "// A. \nmessage Painted { Part part = 1; }\nmessage Part {}\nmessage Broken {}"
    fold = "match fact:\n    case facts.Painted():\n        pass"
    folded = set(cases(Module(PurePosixPath("services/toy/domain.py"), fold)))
    assert events(Image(compiled(facts)), "toy") - folded == {"Broken"}
