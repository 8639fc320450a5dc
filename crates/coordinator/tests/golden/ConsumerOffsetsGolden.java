import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.coordinator.group.generated.*;

/**
 * Prints records of __consumer_offsets as Apache Kafka's own classes write them: name, key, value in hexadecimal.
 * Made consumer_offsets.txt, with the jars of org.apache.kafka:kafka-group-coordinator:4.4.0 and what it depends on:
 * java -cp 'JARS/*' ConsumerOffsetsGolden.java > consumer_offsets.txt
 */
public class ConsumerOffsetsGolden {
    static String hex(java.nio.ByteBuffer buffer) {
        StringBuilder text = new StringBuilder();
        while (buffer.hasRemaining()) text.append(String.format("%02x", buffer.get()));
        return text.toString();
    }

    static void print(String name, short type, ApiMessage key, ApiMessage value, int version) {
        java.nio.ByteBuffer head = java.nio.ByteBuffer.allocate(2).putShort(type);
        head.flip();
        java.nio.ByteBuffer body = MessageUtil.toByteBufferAccessor(key, (short) 0).buffer();
        String valueHex = value == null ? "-" : hex(MessageUtil.toVersionPrefixedByteBuffer((short) version, value));
        System.out.println(name + " " + hex(head) + hex(body) + " " + valueHex);
    }

    public static void main(String[] arguments) {
        OffsetCommitKey offset = new OffsetCommitKey().setGroup("readers").setTopic("orders").setPartition(7);
        OffsetCommitValue value = new OffsetCommitValue().setOffset(42).setLeaderEpoch(3).setMetadata("héllo")
            .setCommitTimestamp(1700000000000L);
        for (int version = 0; version <= 3; version++) print("offset-v" + version, (short) 1, offset, value, version);
        print("offset-v4", (short) 1, offset, value, 4);
        print("offset-v4-topic-id", (short) 1, offset, value.duplicate().setTopicId(new Uuid(1, 2)), 4);
        print("offset-v1-expiry", (short) 1, offset, value.duplicate().setExpireTimestamp(1700000086400L), 1);
        print("offset-tombstone", (short) 1, offset, null, 0);
        GroupMetadataKey group = new GroupMetadataKey().setGroup("readers");
        GroupMetadataValue empty = new GroupMetadataValue().setProtocolType("consumer").setGeneration(5)
            .setProtocol(null).setLeader(null).setCurrentStateTimestamp(1700000000000L);
        GroupMetadataValue.MemberMetadata first = new GroupMetadataValue.MemberMetadata().setMemberId("i-1")
            .setGroupInstanceId("i").setClientId("client").setClientHost("/127.0.0.1").setRebalanceTimeout(60000)
            .setSessionTimeout(10000).setSubscription(new byte[] {0, 0, 0, 0, 0, 0, -1, -1, -1, -1}).setAssignment(new byte[] {1, 2, 3});
        GroupMetadataValue.MemberMetadata second = first.duplicate().setMemberId("client-2").setGroupInstanceId(null);
        GroupMetadataValue stable = empty.duplicate().setGeneration(6).setProtocol("range").setLeader("i-1")
            .setMembers(List.of(first, second));
        for (int version = 0; version <= 4; version++) {
            print("group-empty-v" + version, (short) 2, group, empty, version);
            print("group-stable-v" + version, (short) 2, group, stable, version);
        }
        print("group-tombstone", (short) 2, group, null, 0);
    }
}
