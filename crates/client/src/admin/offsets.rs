//! Offsets of partitions: list by time, delete records before one.

use futures_util::FutureExt;
use millstream_protocol::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};

use super::{Admin, PerItem};
use crate::cluster::NEWEST;
use crate::config::IsolationLevel;
use crate::error::check;
use crate::topic_partition::by_topic;
use crate::{Error, ErrorCode, TopicPartition};

pub use crate::list_offsets::{ListedOffset, OffsetSpec};

impl Admin {
    /// The offset at a time, for each partition; from the partitions' leaders.
    pub async fn list_offsets(
        &self,
        partitions: &[(TopicPartition, OffsetSpec)],
        isolation_level: IsolationLevel,
    ) -> Result<PerItem<TopicPartition, ListedOffset>, Error> {
        let answers = self
            .each("listOffsets", partitions, |partitions| {
                async move {
                    let answers = self.cluster.list_offsets(&partitions, isolation_level).await?;
                    let key = |(partition, answer): (TopicPartition, _)| {
                        let asked = partitions.iter().find(|(asked, _)| *asked == partition);
                        ((partition, asked.map_or(OffsetSpec::Latest, |(_, spec)| *spec)), answer)
                    };
                    Ok(answers.into_iter().map(key).collect())
                }
                .boxed()
            })
            .await?;
        Ok(answers.into_iter().map(|((partition, _), answer)| (partition, answer)).collect())
    }

    /// Deletes the records before an offset, -1 for all, and returns each partition's new first offset.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<PerItem<TopicPartition, i64>, Error> {
        let partitions: Vec<_> = before.iter().map(|(partition, _)| partition.clone()).collect();
        self.each("deleteRecords", &partitions, |partitions| {
            async move {
                let mut answers = Vec::new();
                let (leaders, missing) = self.cluster.leaders(partitions).await?;
                answers.extend(missing.into_iter().map(|(partition, error)| (partition, Err(error))));
                for (leader, partitions) in leaders {
                    let wanted = before.iter().filter(|(partition, _)| partitions.contains(partition)).cloned();
                    answers.extend(self.delete_records_at(leader, wanted.collect()).await?);
                }
                Ok(answers)
            }
            .boxed()
        })
        .await
    }

    async fn delete_records_at(
        &self,
        leader: i32,
        before: Vec<(TopicPartition, i64)>,
    ) -> Result<PerItem<TopicPartition, i64>, Error> {
        let partition = |(partition_index, offset)| DeleteRecordsPartition { partition_index, offset };
        let topics = by_topic(before).into_iter().map(|(topic, partitions)| DeleteRecordsTopic {
            name: topic.to_string(),
            partitions: partitions.into_iter().map(partition).collect(),
        });
        let request = DeleteRecordsRequest { topics: topics.collect(), timeout_ms: self.timeout_ms() };
        let answer = self.cluster.broker(leader).await?.call(&request, NEWEST).await?;
        let mut results = Vec::new();
        for topic in answer.topics {
            for one in topic.partitions {
                let partition = TopicPartition::new(topic.name.as_str(), one.partition_index);
                let result = check(one.error_code, None).map(|()| one.low_watermark);
                if matches!(&result, Err(error) if error.code() == Some(ErrorCode::NotLeaderOrFollower)) {
                    self.cluster.forget_topics([topic.name.as_str()]);
                }
                results.push((partition, result));
            }
        }
        Ok(results)
    }
}
