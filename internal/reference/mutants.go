// Package reference is the contract of a backend in its simplest form: one mutex
// and plain maps. Without a bug it keeps every promise, with one it breaks one. The
// conformance kit is tested against it, and the simulation runs over it.
package reference

import "slices"

// Bug is a bug.
type Bug = bug

// bug is one promise that the reference backend breaks.
type bug string

const (
	none bug = ""

	baseIsIgnored             bug = "a put replaces whatever session is stored"
	exactIsAnyBase            bug = "an exact put replaces whatever session is stored"
	baseRevives               bug = "a put replaces a tombstone"
	baseOfNothing             bug = "a put with a base applies where nothing is stored"
	baseIsAFloat              bug = "versions are compared in floating point"
	baseHasNoNode             bug = "versions are compared without their node"
	putMovesAccessBack        bug = "a put moves the last access back"
	skewIsUnbounded           bug = "a version from next year is taken"
	skewIsOffByOne            bug = "a version just above the skew is taken"
	bodiesAreText             bug = "bodies are made valid UTF-8"
	bodiesAreShort            bug = "bodies are cut at 64 KiB"
	parentsAreShort           bug = "parents are cut at 127 bytes"
	idleIsShort               bug = "idle timeouts have 32 bits"
	reasonsAreKnown           bug = "reasons that are not known are dropped"
	putMindsVersions          bug = "a put with an older version is in conflict"
	refusalsAreTold           bug = "a conflict is announced as an update"
	feedCallsAllUpdated       bug = "a new session is announced as updated"
	epochIsIgnored            bug = "an epoch stops nobody"
	epochMissesForeign        bug = "an epoch stops no foreign id"
	epochIsAFloat             bug = "births are compared in floating point"
	epochIsByVersion          bug = "the version is compared with the epoch, not the birth"
	epochCannotBeNamed        bug = "an epoch that is taken into account is in the way"
	epochByAnyName            bug = "any epoch that is named lets in"
	epochEndsUpdates          bug = "an epoch stops updates"
	epochIsByPartition        bug = "an epoch stops the neighbours"
	parentIsIgnored           bug = "the end of a parent stops nobody"
	rotatedParentsEnd         bug = "a rotated parent stops its child"
	parentEndsUpdates         bug = "the end of a parent stops updates"
	touchCreates              bug = "a touch creates"
	touchRevives              bug = "a touch revives"
	touchGoesBack             bug = "a touch moves the last access back"
	touchIsAWrite             bug = "a touch changes the version"
	touchMindsNoExpiry        bug = "a touch minds no expiry"
	touchMindsNoIdle          bug = "a touch minds no idle timeout"
	touchShowsTheExpired      bug = "a touch that came late shows the session"
	touchIsToldTwice          bug = "a touch is announced twice"
	removeLeavesNothing       bug = "a removal leaves no tombstone"
	removeKeepsTheBody        bug = "a removal keeps the body"
	removeMindsVersions       bug = "a removal with an older version is dropped"
	removeMindsSkew           bug = "a removal minds the skew"
	removeMindsExpiry         bug = "a removal of what has expired is Absent"
	removeReplacesTombstones  bug = "a removal replaces a tombstone"
	removeShowsNoSession      bug = "a removal does not return the session"
	removeAlwaysPlants        bug = "a removal always plants a tombstone"
	plantIsIgnored            bug = "a removal never plants a tombstone"
	plantReplaces             bug = "a planted tombstone replaces the session's header"
	batchesAreTorn            bug = "a batch is applied until something is in the way"
	batchesAreCut             bug = "of a batch only the first write is applied"
	manyAreDropped            bug = "of many batches some are dropped"
	nothingIsAnError          bug = "to apply nothing is an error"
	resultsAreSorted          bug = "results are not aligned"
	conflictsNameNoWrite      bug = "a conflict does not name the write"
	loadMergesDuplicates      bug = "Load drops duplicates"
	loadSkipsAbsent           bug = "Load drops what is absent"
	listShowsTheDead          bug = "a listing shows tombstones"
	listHidesExpired          bug = "a listing hides what is not swept yet"
	listMissesForeign         bug = "a listing misses foreign ids"
	listIsByPartition         bug = "a listing shows the neighbours"
	usersShareAnIndex         bug = "users share an index"
	listLosesTheCut           bug = "a listing loses what had its expiry cut"
	listSpendsPages           bug = "pages are spent on the dead"
	shortSessionsHideLonger   bug = "a short session hides the longer ones"
	pagesHaveNoSize           bug = "a page is as large as its records are"
	pagesSkip                 bug = "a listing skips a record between pages"
	pagesOverlap              bug = "a listing repeats a record"
	cursorsAreOffsets         bug = "a cursor is an offset"
	cursorsAreLocal           bug = "a cursor is only good in its process"
	cursorsAreNotChecked      bug = "a cursor that is none starts anew"
	revokeSparesNone          bug = "a revocation spares no exception"
	revokeLeavesNoEpoch       bug = "a revocation leaves no epoch"
	revokeMindsNoBase         bug = "a revocation minds no base"
	revokeMindsNoSkew         bug = "a revocation minds no skew"
	revokeStopsEarly          bug = "a revocation ends after a page"
	revokeMissesOne           bug = "a revocation misses the last session of a page"
	revokeHidesExpired        bug = "a revocation hides the expired"
	revokeGivesNoReason       bug = "a revocation gives no reason"
	scanHidesTheDead          bug = "a scan never shows the dead"
	scanShowsTheDead          bug = "a scan always shows the dead"
	scanMindsNoBounds         bug = "a scan minds no partitions"
	scanIsOnePage             bug = "a scan is one page"
	sweepIsLate               bug = "a sweep takes sessions after their deadline, not at it"
	sweepMindsNoIdle          bug = "a sweep minds no idle timeout"
	sweepMissesTouches        bug = "a sweep does not see touches"
	sweepMissesPuts           bug = "a sweep does not see that an expiry moved"
	sweepMissesTheLate        bug = "a sweep misses what came expired"
	sweepTellsTwice           bug = "a sweep announces twice"
	sweepKeepsTheDead         bug = "tombstones pile up"
	sweepDropsAtTheHorizon    bug = "tombstones are dropped at their horizon"
	sweepDropsAtTheExpiry     bug = "tombstones are dropped at their expiry"
	sweepExpiresTheEnded      bug = "the ended expire as well"
	sweepSaysNoMore           bug = "a sweep never says that more is due"
	sweepGoesByTheCaller      bug = "a sweep goes by the clock of its caller"
	sweepForgetsPromises      bug = "what was promised more leaves nothing when it is swept"
	sweepForgetsTheMinted     bug = "what was minted in an outage leaves nothing when it is swept"
	sweepMistakesTheMinted    bug = "what looks minted in an outage leaves a tombstone when it is swept"
	sweepLeavesAll            bug = "every session leaves a tombstone when it is swept"
	sweepMindsNoLeaving       bug = "a sweep leaves a tombstone of what left for another store"
	lapsesMindNoHorizon       bug = "a sweep leaves a tombstone past the horizon"
	lapseKeepsTheVersion      bug = "the tombstone of a sweep has the version of the session"
	lapseIsAnEnd              bug = "the tombstone of a sweep is announced as a logout too"
	lastingParentsEnd         bug = "a parent that lasted as long as it was promised to stops its child"
	tombstonesLetIn           bug = "nothing stands in the way of what replaces a tombstone"
	sameVersionIsUpdated      bug = "a put that keeps the version is announced as another"
	endsAreToldAgain          bug = "a tombstone that learns something is announced again"
	laterEndsAreTold          bug = "what has ended is announced when it ends again"
	endsOfStrangersAreNotTold bug = "the end of a session that is not known is not announced"
	feedLosesChanges          bug = "the feed loses a change"
	feedLosesTouches          bug = "the feed loses touches"
	feedLosesReasons          bug = "the feed loses reasons"
	feedHasNoTimes            bug = "the feed has no times"
	feedSwapsChanges          bug = "the feed swaps changes"
	feedIsSortedByTime        bug = "the feed is in the order of the clock"
	feedRepeats               bug = "the feed repeats a change"
	feedMindsNoLimit          bug = "the feed minds no limit"
	feedDoesNotWait           bug = "the feed does not wait"
	feedStartsAtTheOldest     bug = "the feed from now is the feed from the oldest"
	feedHidesGaps             bug = "the feed passes over a gap"
	feedHidesLoss             bug = "the feed passes over a loss"
	waitDoesNotEnd            bug = "the wait for a change does not end"
	waitMindsNoCancel         bug = "the wait for a change minds no cancel"
	waitMindsNoClose          bug = "the wait for a change minds no close"
	statsCountTheDead         bug = "Stats counts the dead as sessions"
	pingLeavesASession        bug = "a ping leaves a session"
	pingSweeps                bug = "a ping sweeps by its own clock"
	ownWritesAreNotSeen       bug = "a cache does not see its own process's writes"
	ownListsAreNotSeen        bug = "a cached list does not see its own process's writes"
	getHidesExpired           bug = "Get decides what is expired"
	spacesAreOne              bug = "two spaces are one"
	inspectsBestFirst         bug = "Inspect shows the best first"
	forgetsOnRestart          bug = "a restart forgets the last write"
	fullEvicts                bug = "a full store evicts"
	formatsAreOverwritten     bug = "what cannot be read is overwritten"
	unreadableEndsPages       bug = "what cannot be read fails every page"
	unreadableIsHidden        bug = "a scan does not name what it cannot read"
	unreadableFailsLoads      bug = "what cannot be read fails a load"
	unreadableIsAbsent        bug = "what cannot be read is loaded as nothing"
	unreadableIsSwept         bug = "what cannot be read is swept"
	contextIgnored            bug = "contexts are ignored"
	deadlineIsBare            bug = "a passed deadline is not an ErrUnavailable"
	closedAnswers             bug = "a closed backend answers"
	closeLeavesAGoroutine     bug = "Close leaves a goroutine"
	putsRace                  bug = "a put compares, then sets"
	touchesRace               bug = "a touch reads, then writes"
	removalsRace              bug = "a removal reads, then writes"
	rotationsAreTorn          bug = "a rotation is two steps"
	revokeRaces               bug = "a revocation lists, then leaves its epoch"
	sweepersRace              bug = "sweepers take the same sessions"
	feedRaces                 bug = "a change is announced after others have seen it"
)

// Mutant is a bug and the laws of the conformance kit that catch it.
type Mutant struct {
	Bug  Bug
	Laws []string
}

// NeedsACache reports whether only a cache shows the bug.
func (m *Mutant) NeedsACache() bool {
	return m.Bug == ownWritesAreNotSeen || m.Bug == ownListsAreNotSeen
}

// Mutants are all bugs.
func Mutants() []Mutant {
	return slices.Concat(writeMutants(), endMutants(), pageMutants(), sweepMutants(), keepMutants())
}

const (
	property = "Property/KeepsTheContract"
	races    = "Race/SessionsAreLinearizable"
)

// writeMutants are bugs of puts and of what stands in their way.
func writeMutants() []Mutant {
	return []Mutant{
		{baseIsIgnored, []string{"Put/WithAnotherBaseIsAConflict", "Put/WithoutABaseNeedsNothingStored", property, "Race/NoUpdateIsLost", races, "Store/DisjointUpdatesAllSurvive", "Store/OneExpectedVersionWins"}},
		{exactIsAnyBase, []string{"Put/ThatIsExactComparesAsAnyOther", "Store/OneExpectedVersionWins"}},
		{baseRevives, []string{"Remove/IsForEver", property, races}},
		{baseOfNothing, []string{"Put/WithABaseNeedsSomethingStored", "Batch/IsAppliedTogetherOrNotAtAll", property}},
		{baseIsAFloat, []string{"Put/ComparesTheWholeBase"}},
		{baseHasNoNode, []string{"Put/ComparesTheWholeBase"}},
		{putMovesAccessBack, []string{"Put/KeepsTheLaterLastAccess", property, "Race/TheLatestTouchStays"}},
		{skewIsUnbounded, []string{"Put/AheadOfTheClockIsRefused", "Batch/WithOneSkewedVersionIsRefused"}},
		{skewIsOffByOne, []string{"Put/IsRefusedJustAboveTheSkew"}},
		{bodiesAreText, []string{"Put/KeepsBodiesOfAllBytes"}},
		{bodiesAreShort, []string{"Put/KeepsBodiesOfAllSizes", "Store/TheLargestSessionFits"}},
		{parentsAreShort, []string{"Put/KeepsEveryHeaderField"}},
		{idleIsShort, []string{"Put/KeepsEveryHeaderField"}},
		{reasonsAreKnown, []string{"Put/KeepsEveryReasonAndKind"}},
		{putMindsVersions, []string{"Put/ReplacesItsBase"}},
		{refusalsAreTold, []string{"Put/ThatIsRefusedAnnouncesNothing", property}},
		{epochIsIgnored, []string{"Obstacle/AnEpochStandsInTheWayOfTheOlder", "Race/RevokeAllMissesNoLogin", property, "Store/RevokeUserKillsWhatComesLater"}},
		{epochMissesForeign, []string{"Obstacle/AnEpochMindsForeignIDs", property}},
		{epochIsAFloat, []string{"Obstacle/AnEpochIsComparedInFull"}},
		{epochIsByVersion, []string{"Obstacle/AnEpochStandsInTheWayOfTheOlder", property}},
		{epochCannotBeNamed, []string{"Obstacle/AnEpochTakenIntoAccountLetsIn", property, "Store/RevokeUserKillsWhatComesLater"}},
		{epochByAnyName, []string{"Obstacle/AnEpochTakenIntoAccountLetsIn"}},
		{epochEndsUpdates, []string{"Obstacle/AnEpochMindsOnlyNewSessions", property}},
		{epochIsByPartition, []string{"Obstacle/AnEpochMindsOnlyItsUser", property}},
		{parentIsIgnored, []string{"Obstacle/AnEndedParentStandsInTheWay", "Obstacle/AnEndedParentMindsForeignIDs", property, "Store/DeleteEndsWhatItWasRotatedTo"}},
		{rotatedParentsEnd, []string{"Obstacle/ARotatedParentDoesNot", property}},
		{lastingParentsEnd, []string{"Obstacle/AParentThatLastedDoesNot", property}},
		{tombstonesLetIn, []string{"Obstacle/StandsBeforeATombstoneToo", property}},
		{parentEndsUpdates, []string{"Obstacle/AnEndedParentMindsOnlyNewSessions", property}},
	}
}

// endMutants are bugs of touches and removals.
func endMutants() []Mutant {
	return []Mutant{
		{touchCreates, []string{"Touch/NeverCreates", property, races}},
		{touchRevives, []string{"Touch/NeverRevives", property, races, "Store/DeleteIsForEver"}},
		{touchGoesBack, []string{"Touch/NeverGoesBack", property, races, "Clock/StepsMoveNoAccessBack"}},
		{touchIsAWrite, []string{"Touch/ChangesTheLastAccessAlone", property}},
		{touchMindsNoExpiry, []string{"Touch/EndsAtTheExpiry", property}},
		{touchMindsNoIdle, []string{"Touch/EndsAtTheIdleTimeout", property}},
		{touchShowsTheExpired, []string{"Touch/EndsAtTheExpiry", property}},
		{touchIsToldTwice, []string{"Touch/IsAnnouncedOnce", property}},
		{removeLeavesNothing, []string{"Remove/LeavesATombstone", "Remove/IsForEver", property, races, "Store/DeleteIsForEver"}},
		{removeKeepsTheBody, []string{"Remove/LeavesATombstone", property}},
		{removeMindsVersions, []string{"Remove/MindsNoVersion", "Store/ClockStepsLockNobodyOut"}},
		{removeMindsSkew, []string{"Remove/MindsNoClock"}},
		{removeMindsExpiry, []string{"Remove/TakesTheExpired"}},
		{removeReplacesTombstones, []string{"Remove/OfATombstoneIsAbsent", property, races}},
		{removeShowsNoSession, []string{"Remove/LeavesATombstone", property}},
		{removeAlwaysPlants, []string{"Remove/OfNothingIsAbsent", property}},
		{plantIsIgnored, []string{"Remove/PlantsATombstone", property}},
		{plantReplaces, []string{"Remove/PlantsOnlyWhereNothingIs", property}},
	}
}

// pageMutants are bugs of batches, listings, revocations and scans.
func pageMutants() []Mutant {
	return []Mutant{
		{batchesAreTorn, []string{"Batch/IsAppliedTogetherOrNotAtAll", "Batch/OfManyIsOneStepToo", "Batch/WithOneSkewedVersionIsRefused", property, "Batch/ARotationIsOneStep"}},
		{batchesAreCut, []string{"Batch/ARotationIsOneStep", "Batch/OfManyIsOneStepToo", property, "Store/RotationCarriesOn", "Store/RotationKeepsWhatComesLater"}},
		{manyAreDropped, []string{"Batch/TakesManyAtOnce"}},
		{nothingIsAnError, []string{"Batch/OfNothingIsNothing"}},
		{resultsAreSorted, []string{"Batch/ResultsAreAligned"}},
		{conflictsNameNoWrite, []string{"Batch/NamesTheWriteThatMetARecord", property}},
		{loadMergesDuplicates, []string{"Batch/LoadIsAligned", property}},
		{loadSkipsAbsent, []string{"Batch/LoadIsAligned", property}},
		{listShowsTheDead, []string{"ListUser/ShowsNoDead", property}},
		{listHidesExpired, []string{"ListUser/ShowsTheExpiredUntilSwept"}},
		{listMissesForeign, []string{"Put/TakesIDsOfAllForms", "ListUser/ShowsEachSessionOnce", property, "Store/ForeignIDsAreIDs"}},
		{listIsByPartition, []string{"ListUser/ShowsNoOtherUser", property, "RemoveUser/TouchesNoOtherUser"}},
		{usersShareAnIndex, []string{"Store/UserIDsAreOpaque", property}},
		{listLosesTheCut, []string{"ListUser/FollowsTheExpiry"}},
		{listSpendsPages, []string{"ListUser/TheDeadDoNotPileUp"}},
		{shortSessionsHideLonger, []string{"ListUser/AShortSessionHidesNoLonger"}},
		{pagesHaveNoSize, []string{"ListUser/IsBoundedInBytes"}},
		{pagesSkip, []string{"ListUser/ShowsEachSessionOnce", "Scan/ShowsEachRecord", property}},
		{pagesOverlap, []string{"ListUser/ShowsEachSessionOnce", "Scan/ShowsEachRecord", property}},
		{cursorsAreOffsets, []string{"ListUser/IsStableWhileOthersWrite", "Scan/IsStableWhileOthersWrite"}},
		{cursorsAreLocal, []string{"ListUser/GoesOnInAnotherProcess", "Scan/GoesOnInAnotherProcess", "Keeping/CursorsOutliveARestart"}},
		{cursorsAreNotChecked, []string{"ListUser/RefusesACursorThatIsNone", "RemoveUser/RefusesACursorThatIsNone", "Scan/RefusesACursorThatIsNone", "Feed/RefusesACursorThatIsNone", "Store/HostileInputIsRefused"}},
		{revokeSparesNone, []string{"RemoveUser/SparesTheExcepted", property, "Store/RevokeUserKillsWhatComesLater"}},
		{revokeLeavesNoEpoch, []string{"RemoveUser/LeavesAnEpoch", property}},
		{revokeMindsNoBase, []string{"RemoveUser/OnAnotherBaseIsAConflict", property}},
		{revokeMindsNoSkew, []string{"RemoveUser/AheadOfTheClockIsRefused"}},
		{revokeStopsEarly, []string{"RemoveUser/GoesPageByPage", property, "Race/RevokeAllMissesNoLogin"}},
		{revokeMissesOne, []string{"RemoveUser/EndsAllSessions", property, "Store/RevokeUserMissesNoLogin"}},
		{revokeHidesExpired, []string{"RemoveUser/ShowsTheExpiredToo"}},
		{revokeGivesNoReason, []string{"RemoveUser/EndsAllSessions", "RemoveUser/IsAnnounced", property}},
		{scanHidesTheDead, []string{"Scan/ShowsTheDeadWhenAsked", property}},
		{scanShowsTheDead, []string{"Scan/ShowsTheDeadWhenAsked", property}},
		{scanMindsNoBounds, []string{"Scan/KeepsToItsPartitions", property}},
		{scanIsOnePage, []string{"Scan/KeepsItsPagesShort"}},
	}
}

// sweepMutants are bugs of the sweep and the feed.
func sweepMutants() []Mutant {
	return []Mutant{
		{sweepIsLate, []string{"Sweep/TakesASessionAtItsExpiry", "Sweep/TakesASessionAtItsIdleTimeout", "Store/ExpiredIsNeverReturned"}},
		{sweepMindsNoIdle, []string{"Sweep/TakesASessionAtItsIdleTimeout", property}},
		{sweepMissesTouches, []string{"Sweep/TakesASessionAtItsIdleTimeout", property, "Store/IdleIsNeverReturned"}},
		{sweepMissesPuts, []string{"Sweep/FollowsAChangedExpiry", "Sweep/FollowsAChangedIdleTimeout", property}},
		{sweepMissesTheLate, []string{"Sweep/TakesWhatCameExpired"}},
		{sweepTellsTwice, []string{"Sweep/AnnouncesEachSessionOnce", property}},
		{sweepKeepsTheDead, []string{"Sweep/LetsNothingPileUp", property}},
		{sweepDropsAtTheHorizon, []string{"Sweep/KeepsTombstonesToTheirHorizon", property}},
		{sweepDropsAtTheExpiry, []string{"Sweep/KeepsTombstonesToTheirHorizon", property}},
		{sweepExpiresTheEnded, []string{"Sweep/PassesOverTheEnded", property}},
		{sweepGoesByTheCaller, []string{"Sweep/GoesByTheClockOfTheStore"}},
		{sweepForgetsPromises, []string{"Sweep/LeavesATombstoneOfWhatWasPromisedMore", property}},
		{sweepForgetsTheMinted, []string{"Sweep/LeavesATombstoneOfWhatWasMintedInAnOutage", property}},
		{sweepMistakesTheMinted, []string{"Sweep/LeavesATombstoneOfWhatWasMintedInAnOutage"}},
		{sweepLeavesAll, []string{"Sweep/TakesASessionAtItsExpiry", "Sweep/LeavesATombstoneOfWhatWasPromisedMore", property}},
		{sweepMindsNoLeaving, []string{"Sweep/LeavesNothingOfWhatLeft"}},
		{lapsesMindNoHorizon, []string{"Sweep/LeavesNoTombstonePastTheHorizon"}},
		{lapseKeepsTheVersion, []string{"Sweep/LeavesATombstoneOfWhatWasPromisedMore", "Sweep/LeavesATombstoneOfWhatWasMintedInAnOutage", property}},
		{lapseIsAnEnd, []string{"Sweep/LeavesATombstoneOfWhatWasPromisedMore", property}},
		{sameVersionIsUpdated, []string{"Feed/TellsOfNoVersionTwice"}},
		{laterEndsAreTold, []string{"Feed/TellsOfNoVersionTwice", property}},
		{endsAreToldAgain, []string{"Feed/TellsOfNoVersionTwice"}},
		{endsOfStrangersAreNotTold, []string{"Feed/TellsOfNoVersionTwice", property}},
		{sweepSaysNoMore, []string{"Sweep/SaysWhetherMoreIsDue", property}},
		{feedLosesChanges, []string{"Feed/TellsOfEveryChangeOnce", "Property/FollowsTheFeedAcrossProcesses", property}},
		{feedLosesTouches, []string{"Touch/IsAnnouncedOnce", "Feed/TellsOfEveryChangeOnce", property}},
		{feedLosesReasons, []string{"Feed/TellsOfEveryChangeOnce", property, "Store/WatchTellsWhatHappened"}},
		{feedCallsAllUpdated, []string{"Feed/FromOldestIsAllItHolds", property}},
		{feedHasNoTimes, []string{"Feed/SaysWhenAChangeWasMade", "Clock/DatesChanges"}},
		{feedSwapsChanges, []string{"Feed/KeepsTheOrderOfASession", property}},
		{feedIsSortedByTime, []string{"Clock/StepsLoseNothing"}},
		{feedRepeats, []string{"Feed/GoesOnFromAnyCursor", "Property/FollowsTheFeedAcrossProcesses"}},
		{feedMindsNoLimit, []string{"Feed/GivesNoMoreThanTheLimit"}},
		{feedDoesNotWait, []string{"Feed/WaitsForAChange"}},
		{feedStartsAtTheOldest, []string{"Feed/FromNowIsWhatIsToCome", property}},
		{feedHidesGaps, []string{"Feed/TellsOfAGap"}},
		{feedHidesLoss, []string{"Feed/TellsOfAStoreThatForgot"}},
		{waitDoesNotEnd, []string{"Feed/ReturnsEmptyAfterTheWait"}},
		{waitMindsNoCancel, []string{"Context/CancelEndsTheWaitForAChange"}},
		{waitMindsNoClose, []string{"Context/CloseEndsTheWaitForAChange"}},
	}
}

// keepMutants are bugs of all else, and races.
func keepMutants() []Mutant {
	return []Mutant{
		{statsCountTheDead, []string{"Keeping/CountsWhatItHolds"}},
		{pingLeavesASession, []string{"Keeping/APingLeavesNothing"}},
		{pingSweeps, []string{"Clock/StepsEndNoSession"}},
		{ownWritesAreNotSeen, []string{"Keeping/OneProcessSeesWhatAnotherWrote", property, races}},
		{ownListsAreNotSeen, []string{"ListUser/IsNeverBehindItself", "ListUser/LacksNobodyAfterAnEpoch"}},
		{getHidesExpired, []string{"Sweep/TakesWhatCameExpired", "Clock/StepsEndNoSession"}},
		{spacesAreOne, []string{"Keeping/OneSpaceSeesNoOther"}},
		{inspectsBestFirst, []string{"Keeping/InspectsWorstFirst"}},
		{forgetsOnRestart, []string{"Keeping/OutlivesARestart"}},
		{fullEvicts, []string{"Keeping/AFullStoreEvictsNothing"}},
		{formatsAreOverwritten, []string{"Keeping/LeavesWhatItCannotRead"}},
		{unreadableEndsPages, []string{"Unreadable/HoldsUpNoScan", "Unreadable/HoldsUpNoList", "Unreadable/HoldsUpNoRevocation"}},
		{unreadableIsHidden, []string{"Unreadable/HoldsUpNoScan"}},
		{unreadableFailsLoads, []string{"Unreadable/HoldsUpNoLoad"}},
		{unreadableIsAbsent, []string{"Unreadable/HoldsUpNoLoad"}},
		{unreadableIsSwept, []string{"Unreadable/IsNotSwept"}},
		{contextIgnored, []string{"Context/CancelledEndsEveryCall", "Context/PassedDeadlineEndsEveryCall"}},
		{deadlineIsBare, []string{"Context/PassedDeadlineEndsEveryCall"}},
		{closedAnswers, []string{"Context/ClosedRefusesEveryCall"}},
		{closeLeavesAGoroutine, []string{"Context/CloseLeavesNothingRunning"}},
		{putsRace, []string{"Race/OneCreateWins", "Race/NoUpdateIsLost", "Race/OneRotationWins", races, "Store/DisjointUpdatesAllSurvive", "Store/OneExpectedVersionWins"}},
		{touchesRace, []string{"Race/LogoutBeatsTouchAndUpdate"}},
		{removalsRace, []string{"Race/DeleteOrRotateNeverBoth", "Store/DeleteBeatsRotation"}},
		{rotationsAreTorn, []string{"Race/ARotationIsSeenWhole"}},
		{revokeRaces, []string{"Race/RevokeAllMissesNoLogin", "Race/OneRevocationWins"}},
		{sweepersRace, []string{"Race/SweepersShareTheWork", "Race/SweepOrUseNeverBoth"}},
		{feedRaces, []string{"Race/TheFeedMissesNothing"}},
	}
}
