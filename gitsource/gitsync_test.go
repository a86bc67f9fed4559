package gitsource

import (
	"cmp"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// gitSyncScenarios are the end-to-end scenarios of git-sync, the puller that has met
// the most servers, by its own names. Each says which test shows it here, of this
// package or of another by its folder, or after a dash why it means nothing here.
const gitSyncScenarios = `
init_root_doesnt_exist                     TestGitSync/init_root_doesnt_exist
init_root_exists_empty                     TestGitSync/init_root_exists_empty
init_root_flag_is_weird                    TestGitSync/init_root_flag_is_weird
init_root_flag_has_symlink                 TestGitSync/init_root_flag_has_symlink
init_root_is_under_another_repo            TestGitSync/init_root_is_under_another_repo
init_root_fails_sanity                     TestGitSync/init_root_fails_sanity TestDamagedMirrorIsRemade TestLeftoversDoNoHarm
bad_ref_non_zero_exit                      TestGitSync/bad_ref_non_zero_exit cmd/seedtree.TestExitCodes
sync_default_ref                           TestGitSync/sync_default_ref
sync_head                                  TestGitSync/sync_head
sync_head_absolute_link                    - there is no link: files stand in the trees that the configuration names
sync_head_subdir_link                      - as above
worktree_cleanup                           TestGitSync/worktree_cleanup TestLeftoversDoNoHarm
worktree_unexpected_removal                TestGitSync/worktree_unexpected_removal
sync_recover_wrong_worktree_hash           TestGitSync/sync_recover_wrong_worktree_hash
stale_worktree_timeout                     - there is no work tree; what was replaced is kept in each tree's trash
stale_worktree_timeout_restart             - as above
v3_v4_upgrade_in_place                     - no release kept its state in another way; one that cannot be read: TestLostStateIsTold
readlink                                   TestGitSync/sync_head
sync_branch                                TestGitSync/sync_branch
sync_branch_switch                         TestGitSync/sync_branch_switch
sync_tag                                   TestGitSync/sync_tag
sync_annotated_tag                         TestGitSync/sync_tag
sync_sha                                   TestGitSync/sync_sha
sync_sha_once                              TestGitSync/sync_sha_once_sync_different_sha_known
sync_sha_once_sync_different_sha_known     TestGitSync/sync_sha_once_sync_different_sha_known
sync_sha_once_sync_different_sha_unknown   TestGitSync/sync_sha_once_sync_different_sha_unknown
sync_crash_no_link_cleanup_retry           TestGitSync/sync_crash_no_link_cleanup_retry
sync_crash_no_worktree_cleanup_retry       TestGitSync/sync_crash_no_worktree_cleanup_retry
sync_sha_shafile_exists                    TestGitSync/sync_sha_shafile_exists
sync_repo_switch                           TestGitSync/sync_repo_switch TestAnotherRepositoryOverTheSameMirror
error_slow_git_short_timeout               TestSlowServerWithPatience TestServersThatGoWrong
sync_slow_git_long_timeout                 TestSlowServerWithPatience TestSlowButMovingServer
sync_on_signal_sighup                      cmd/seedtree.TestHangupsNeverEndTheAgent internal/e2e.TestSignedCatalog
sync_on_signal_hup                         - one signal, by one name: as above
sync_on_signal_1                           - as above
sync_depth_default_shallow                 - the mirror has all of history: only so it can tell forward from back
sync_depth_across_updates                  - as above
sync_depth_change_on_restart               - as above
auth_http_password                         TestHTTPSCredentials
auth_http_password_in_url                  TestRefusedConfigurations
auth_http_password_file                    TestHTTPSCredentials
auth_ssh                                   TestSSHAddresses TestSSHKeysOfTheUser
auth_ssh_url                               TestSSH TestSSHKeys TestSSHKeyTypes
auth_askpass_url_wrong_password            - nobody is asked for a password; a wrong one in its file: TestHTTPSCredentials
auth_askpass_url_correct_password          - as above
auth_askpass_url_sometimes_wrong           TestHTTPSCredentials
auth_askpass_url_flaky                     TestHTTPSCredentials
auth_askpass_url_slow_start                TestHTTPSCredentials
auth_github_app_application_id             - a token is a password, and stands in a file like one
auth_github_app_client_id                  - as above
exechook_success                           - no program is run after a pass
exechook_fail_retry                        - as above
exechook_success_once                      - as above
exechook_fail_once                         - as above
exechook_startup_after_crash               - as above
webhook_success                            - no webhook goes out, nor does one come in yet
webhook_fail_retry                         - as above
webhook_success_once                       - as above
webhook_fail_retry_once                    - as above
webhook_fire_and_forget                    - as above
expose_http                                internal/web.TestAnswers internal/agent.TestReadiness
expose_http_after_restart                  internal/agent.TestReadiness
submodule_sync_default                     - a catalog has none: TestHostileEntriesAreAllNamed, and beside it submodule_sync_off
submodule_sync_depth                       - as above
submodule_sync_off                         TestGitSync/submodule_sync_off TestHostileEntriesAreAllNamed
submodule_sync_shallow                     - as above
submodule_sync_relative                    - as above
submodule_sync_over_ssh_different_keys     - as above
submodule_sync_over_http_different_passwords - as above
sparse_checkout                            - nothing is checked out; a site's share of the trees is the manifest's: manifests.TestIncludes
additional_git_configs                     - neither git nor its configuration is used: TestLocalPathWithoutGit
export_error                               internal/agent.TestGitUnreachable
export_error_abs_path                      - the status file has one place
touch_file                                 - the status file is written at each pass
touch_file_abs_path                        - as above
github_https                               - tests do not leave the machine; git's own server behind https: TestHTTPS
gc_default                                 TestMirrorDoesNotGrowOld
gc_auto                                    TestManyPacksAreMerged
gc_always                                  - packs are merged in one way, and never by git
gc_aggressive                              - as above
gc_off                                     - as above
`

// gitSyncHas is how many scenarios git-sync had when they were written down.
const gitSyncHas = 81

// Every scenario has its test, and every test that is named there exists.
func TestGitSyncScenariosAreShown(t *testing.T) {
	t.Parallel()
	folders := map[string]map[string][]string{}
	exists := func(dir, test, sub string) bool {
		if folders[dir] == nil {
			folders[dir] = testsIn(t, filepath.Join("..", filepath.FromSlash(dir)))
		}
		texts, found := folders[dir][test]
		return found && (sub == "" || slices.Contains(texts, sub))
	}
	named := regexp.MustCompile(`(?:([\w/]+)\.)?(Test\w+)(?:/(\w+))?`)
	seen := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(gitSyncScenarios)) {
		name, shown, _ := strings.Cut(strings.TrimSpace(line), " ")
		shown = strings.TrimSpace(shown)
		if seen[name] {
			t.Errorf("%s stands there twice", name)
		}
		seen[name] = true
		for _, m := range named.FindAllStringSubmatch(shown, -1) {
			if !exists(cmp.Or(m[1], "gitsource"), m[2], m[3]) {
				t.Errorf("%s: there is no %s", name, m[0])
			}
		}
		if rest := strings.TrimSpace(named.ReplaceAllString(shown, "")); shown == "" || rest != "" && !strings.HasPrefix(shown, "- ") {
			t.Errorf("%s: %q is neither a test nor a reason", name, shown)
		}
	}
	if len(seen) != gitSyncHas {
		t.Errorf("%d scenarios, git-sync has %d", len(seen), gitSyncHas)
	}
}

// testsIn reads a folder's tests: their names, and the texts that occur in each.
func testsIn(t *testing.T, dir string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	must(t, err)
	found := map[string][]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		must(t, err)
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			texts := []string{}
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, err := strconv.Unquote(lit.Value)
					must(t, err)
					texts = append(texts, text)
				}
				return true
			})
			found[f.Name.Name] = texts
		}
	}
	return found
}

func TestGitSync(t *testing.T) {
	t.Parallel()
	for name, scenario := range map[string]func(*testing.T){
		"init_root_doesnt_exist": inFolder(func(_ *testing.T, base string) string { return filepath.Join(base, "a", "b", "c") }),
		"init_root_exists_empty": inFolder(func(_ *testing.T, base string) string { return base }),
		"init_root_flag_is_weird": inFolder(func(_ *testing.T, base string) string {
			return base + "/../" + filepath.Base(base) + "/./x/../y"
		}),
		"init_root_flag_has_symlink": inFolder(func(t *testing.T, base string) string {
			real, link := filepath.Join(base, "real"), filepath.Join(base, "link")
			must(t, errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, link)))
			return filepath.Join(link, "mirror")
		}),
		"init_root_is_under_another_repo": inFolder(func(t *testing.T, base string) string {
			git(t, base, "init", "-q")
			return filepath.Join(base, "mirror")
		}),
		"init_root_fails_sanity": rootFailsSanity,
		"bad_ref_non_zero_exit":  badRef, "sync_default_ref": defaultRef, "sync_head": headMoves,
		"sync_branch": branchMoves, "sync_branch_switch": branchSwitch, "sync_tag": tagsAreNoBranches, "sync_sha": idsAreNoBranches,
		"worktree_cleanup": garbageInTheMirror,
		"worktree_unexpected_removal": afterAccident(false, func(t *testing.T, s *Source) {
			must(t, os.RemoveAll(s.path(gitName)))
		}),
		"sync_recover_wrong_worktree_hash": afterAccident(false, func(t *testing.T, s *Source) {
			tree := git(t, s.path(gitName), "mktree", "--missing")
			git(t, s.path(gitName), "update-ref", "refs/heads/main", git(t, s.path(gitName), "commit-tree", "-m", "corrupt it", tree))
		}),
		"sync_crash_no_link_cleanup_retry": afterAccident(true, func(t *testing.T, s *Source) {
			must(t, os.Remove(s.path(stateName)))
		}),
		"sync_crash_no_worktree_cleanup_retry": afterAccident(true, func(t *testing.T, s *Source) {
			must(t, os.RemoveAll(filepath.Join(s.path(gitName), "objects")))
		}),
		"sync_sha_once_sync_different_sha_known":   func(t *testing.T) { exactly(t, true) },
		"sync_sha_once_sync_different_sha_unknown": func(t *testing.T) { exactly(t, false) },
		"sync_sha_shafile_exists":                  filesNamedLikeCommits,
		"sync_repo_switch":                         repoSwitch,
		"submodule_sync_off":                       submoduleBeside,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t)
		})
	}
}
